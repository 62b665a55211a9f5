"use strict";

// The findings of the JSON block: a column of texts or nulls for each name, and what is said about one finding.

const DATA = JSON.parse(document.getElementById("data").textContent);
const COLUMNS = decodeColumns(DATA);
const COUNT = DATA.ids.length;

function decodeColumns(data) {
  const columns = { finding_id: data.ids };
  for (const [name, column] of Object.entries(data.findings)) {
    const values = column.values ?? decodeShared(column.shared);
    const codes = Array.isArray(column.codes) ? column.codes : data.ids.map(() => column.codes);
    columns[name] = codes.map((code) => (code < 0 ? null : values[code]));
  }
  const places = new Map();
  const place = (subject) => {
    if (!places.has(subject)) places.set(subject, parseSubject(subject));
    return places.get(subject);
  };
  const parsed = columns.subject.map(place);
  for (const name of ["region", "project_id", "package", "function_name", "qualifier"]) {
    columns[name] = parsed.map((parts) => parts[name]);
  }
  columns.suppressed = columns.suppressed_by.map((by) => (by === null ? "no" : "yes"));
  columns.area = columns.rule.map((rule) => data.rules[rule].area);
  columns.assumes = columns.rule.map((rule) => data.rules[rule].assumes || null);
  return columns;
}

// Pairs of the number of characters shared with the text before, and the rest.
function decodeShared(pairs) {
  const texts = [];
  for (let at = 0; at < pairs.length; at += 2) {
    texts.push((texts.at(-1) ?? "").slice(0, pairs[at]) + pairs[at + 1]);
  }
  return texts;
}

// urn:fss:REGION:PROJECT:function:PACKAGE:NAME[:QUALIFIER]; an alias begins with "!".
function parseSubject(subject) {
  const parts = subject.split(":");
  return {
    region: parts[2] ?? null,
    project_id: parts[3] ?? null,
    package: parts[5] ?? null,
    function_name: parts[6] ?? null,
    qualifier: parts[7] ? parts[7].replace(/^!+/, "") : null,
  };
}

// Text from lists and cloud: what cannot be seen is escaped.
function printable(text) {
  return String(text).replace(/[\p{C}\p{Zl}\p{Zp}\p{DI}]|(?! )\p{Zs}/gu, (character) => {
    const code = character.codePointAt(0).toString(16);
    return `\\u{${code}}`;
  });
}

function formatNumber(value) {
  return value.toLocaleString("en-US");
}

// Numbers keep their digits, where the browser can: 1.0, and integers above 2^53.
function exactNumber(_key, value, context) {
  return typeof value === "number" && context && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}

function evidenceOf(index) {
  const text = COLUMNS.evidence[index];
  if (text === null) return [];
  try {
    const values = JSON.parse(text, exactNumber);
    if (values !== null && typeof values === "object" && !Array.isArray(values)) {
      return Object.entries(values).filter(([, value]) => value !== null);
    }
  } catch {
    // not JSON: a text that was too long
  }
  return [["evidence", text]];
}

function valueText(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function evidenceText(index) {
  return evidenceOf(index)
    .map(([name, value]) => printable(`${name} ${valueText(value)}`))
    .join(", ");
}

function isUnknown(index) {
  return COLUMNS.verdict[index] === "unknown";
}

function fixOf(index) {
  const reason = DATA.reasons[COLUMNS.why_unknown[index]];
  return isUnknown(index) && reason ? reason.fix : DATA.rules[COLUMNS.rule[index]].fix;
}

// What a person copies: the rule's block with the names and numbers of the finding.
function blockOf(index) {
  const rule = DATA.rules[COLUMNS.rule[index]];
  const explain = { text: rule.explain, language: "bash" };
  let block = { text: rule.block, language: rule.language };
  if (isUnknown(index)) {
    const reason = DATA.reasons[COLUMNS.why_unknown[index]];
    block = reason && reason.command ? { text: reason.command, language: "bash" } : explain;
  }
  const values = blockValues(index);
  const text = block.text.replace(/\b[A-Z][A-Z0-9_]*\b/g, (word) => values[word.toLowerCase()] ?? word);
  return { text: text.split("\n").map(printable).join("\n"), language: block.language };
}

function blockValues(index) {
  const values = Object.create(null);
  for (const [name, value] of evidenceOf(index)) {
    if (!Array.isArray(value) && valueText(value)[0] !== "{") values[name] = valueText(value);
  }
  for (const name of ["event", "target", "region", "project_id", "package", "function_name", "qualifier"]) {
    values[name] = COLUMNS[name][index] ?? "";
  }
  values.function_urn = COLUMNS.subject[index];
  values.run = DATA.run;
  const place = /^obs:\/\/([^/]+)\/([^]*)$/.exec(COLUMNS.target[index] ?? "");
  if (place) [, values.bucket, values.prefix] = place;
  for (const name of Object.keys(values)) {
    if (!/^[A-Za-z0-9_./:!-]+$/.test(values[name])) delete values[name];
  }
  return values;
}

// The rows as CSV; a text that a spreadsheet would read as a formula begins with a quote.
function toCsv(indices) {
  const cell = (text) => {
    if (text === null || text === undefined) return "";
    const guarded = /^[=+\-@\t\r\n']/.test(text) ? `'${text}` : text;
    return `"${guarded.replaceAll('"', '""')}"`;
  };
  const bare = {
    suppressed: (index) => String(COLUMNS.suppressed[index] === "yes"),
    first_seen: (index) => COLUMNS.first_seen[index] ?? "",
  };
  const lines = [DATA.columns.map(cell).join(",")];
  for (const index of indices) {
    lines.push(DATA.columns.map((name) => bare[name]?.(index) ?? cell(COLUMNS[name][index])).join(","));
  }
  return `${lines.join("\n")}\n`;
}
