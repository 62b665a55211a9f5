// Draws findings: a line each that opens, groups of them, and all of them for a printer.

const PAGE = 50;
const STEP = 200;
const NAME_WIDTH = 80; // characters of a name on a line; the opened finding has all of them
const ID_WIDTH = 13;

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function chip(severity) {
  return element(
    "span",
    { class: `chip ${severity}` },
    element("span", { class: "mark", "aria-hidden": "true" }),
    severity,
  );
}

function code(text) {
  return element("code", {}, element("bdi", {}, printable(text)));
}

function ownerOf(index, width = Infinity) {
  const project = COLUMNS.project_id[index];
  return [COLUMNS.package[index], project && cut(project, width), COLUMNS.region[index]].filter(Boolean).join(" · ");
}

// Cuts the middle of a text: similar names differ at their ends.
function cut(text, width) {
  const tail = Math.floor((width - 1) / 2);
  return text.length <= width ? text : `${text.slice(0, width - 1 - tail)}…${text.slice(-tail)}`;
}

function nameOf(index) {
  const qualifier = COLUMNS.qualifier[index];
  const name = COLUMNS.function_name[index] ?? COLUMNS.subject[index];
  return qualifier && qualifier !== "latest" ? `${name}:${qualifier}` : name;
}

// Shows items in parts: the next part is drawn when it is asked for.
function appendInParts(parent, items, draw, noun, first = PAGE) {
  let shown = 0;
  const more = element("button", { type: "button", class: "show-more" });
  const next = (count) => {
    const part = items.slice(shown, shown + count).map(draw);
    more.before(...part);
    shown += part.length;
    const step = formatNumber(Math.min(STEP, items.length - shown));
    more.textContent = `Show ${step} more of ${formatNumber(items.length)} ${noun}`;
    more.hidden = shown >= items.length;
    return part;
  };
  parent.append(more);
  next(first);
  more.addEventListener("click", () => {
    const [drawn] = next(STEP);
    drawn?.querySelector("summary")?.focus();
  });
}

function drawRows(parent, indices, grouping) {
  parent.replaceChildren();
  if (indices.length === 0) {
    parent.append(element("p", { class: "empty" }, "No finding matches these filters."));
  } else if (grouping === "none") {
    appendInParts(parent, indices, (index) => drawFinding(index, grouping), "findings");
    openOnly(parent, indices);
  } else {
    const groups = groupBy(indices, grouping);
    appendInParts(parent, groups, (group) => drawGroup(group, grouping, groups.length === 1), "groups");
    openOnly(parent, indices);
  }
}

function openOnly(parent, indices) {
  if (indices.length === 1) for (const box of parent.querySelectorAll("details")) box.open = true;
}

const KEYS = {
  rule: (index) => COLUMNS.rule[index],
  function: (index) => COLUMNS.subject[index].split(":").slice(0, 7).join(":"),
  owner: (index) => ownerOf(index),
};

// Groups, the one with the most severe findings first.
function groupBy(indices, grouping) {
  const groups = new Map();
  for (const index of indices) {
    const key = KEYS[grouping](index);
    if (!groups.has(key)) groups.set(key, { key, indices: [], counts: DATA.severities.map(() => 0) });
    const group = groups.get(key);
    group.indices.push(index);
    group.counts[order.rank[index]]++;
  }
  const compare = (left, right) => {
    for (let at = 0; at < left.counts.length; at++) {
      if (left.counts[at] !== right.counts[at]) return right.counts[at] - left.counts[at];
    }
    return left.key < right.key ? -1 : 1;
  };
  return [...groups.values()].sort(compare);
}

function drawGroup(group, grouping, isOpen) {
  const [first] = group.indices;
  const title = element("span", { class: "group-title" });
  if (grouping === "rule") {
    title.append(
      element("b", {}, printable(DATA.rules[group.key].title)),
      " ",
      element("span", { class: "muted" }, group.key),
    );
  } else if (grouping === "function") {
    const owner = element("bdi", { class: "muted" }, printable(ownerOf(first)));
    title.append(element("b", {}, printable(cut(COLUMNS.function_name[first] ?? group.key, NAME_WIDTH))), " ", owner);
  } else {
    const project = [COLUMNS.project_id[first], COLUMNS.region[first]].filter(Boolean).join(" · ");
    title.append(
      element("b", {}, printable(cut(COLUMNS.package[first] ?? "", NAME_WIDTH))),
      " ",
      element("bdi", { class: "muted" }, printable(project)),
    );
  }
  const counts = element("span", { class: "group-counts" });
  group.counts.forEach((count, at) => {
    if (count)
      counts.append(
        element(
          "span",
          { class: "pair" },
          chip(DATA.severities[at]),
          element("b", { class: "number" }, formatNumber(count)),
        ),
      );
  });
  const box = element("details", { class: "group", "data-group": group.key }, element("summary", {}, title, counts));
  const fill = () => {
    if (box.children.length > 1) return;
    const body = element("div", { class: "group-body" });
    if (grouping === "rule") {
      const rule = DATA.rules[group.key];
      body.append(
        element("p", { class: "why" }, printable(rule.why)),
        element("p", { class: "do" }, printable(rule.fix)),
      );
    }
    appendInParts(body, group.indices, (index) => drawFinding(index, grouping), "findings");
    box.append(body);
  };
  box.addEventListener("toggle", () => box.open && fill());
  if (isOpen) {
    fill();
    box.open = true;
  }
  return box;
}

// A line that opens; it leaves out what the heading of its group says.
function drawFinding(index, grouping) {
  const summary = element("summary", {});
  summary.append(element("span", { class: "f-severity" }, chip(COLUMNS.severity[index])));
  const main = element("span", { class: "f-main" });
  if (grouping !== "rule") {
    main.append(element("span", { class: "title" }, printable(DATA.rules[COLUMNS.rule[index]].title)), " ");
  }
  main.append(code(grouping === "function" ? (COLUMNS.qualifier[index] ?? "") : cut(nameOf(index), NAME_WIDTH)));
  if (grouping === "rule" || grouping === "none") {
    main.append(" ", element("bdi", { class: "muted" }, printable(ownerOf(index, ID_WIDTH))));
  }
  const tags = element("span", { class: "f-tags" });
  for (const tag of tagsOf(index)) tags.append(element("span", { class: "tag" }, tag));
  summary.append(main, element("span", { class: "f-evidence" }, shortEvidence(index)), tags);
  const box = element("details", {
    class: "finding",
    "data-finding": COLUMNS.finding_id[index],
    "data-rule": COLUMNS.rule[index],
    "data-severity": COLUMNS.severity[index],
  });
  box.append(summary);
  box.addEventListener("toggle", () => {
    if (box.open && box.children.length === 1) box.append(drawDetails(index));
  });
  return box;
}

function tagsOf(index) {
  return [
    COLUMNS.verdict[index] === "fail"
      ? null
      : COLUMNS.verdict[index] === "unknown"
        ? "not checked"
        : COLUMNS.verdict[index],
    COLUMNS.state[index],
    COLUMNS.suppressed[index] === "yes" ? "suppressed" : null,
  ].filter(Boolean);
}

function shortEvidence(index) {
  if (isUnknown(index)) return COLUMNS.why_unknown[index] ?? "";
  const text = evidenceText(index);
  return text.length > 160 ? `${text.slice(0, 160)} …` : text;
}

function drawDetails(index) {
  const rule = DATA.rules[COLUMNS.rule[index]];
  const list = element("dl", { class: "details" });
  const add = (name, ...content) => {
    if (content[0]) list.append(element("div", {}, element("dt", {}, name), element("dd", {}, ...content)));
  };
  add("What", printable(rule.title), ` (${COLUMNS.rule[index]}, ${rule.area})`);
  add("Where", ...placeOf(index));
  add("Why it matters", printable(rule.why));
  add("What to do", element("p", {}, printable(fixOf(index))), drawBlock(blockOf(index)));
  add("Assumes", COLUMNS.assumes[index] && printable(COLUMNS.assumes[index]));
  if (isUnknown(index)) add("Not checked", COLUMNS.why_unknown[index]);
  add("Evidence", evidenceOf(index).length && drawEvidence(index));
  add("Suppressed", suppressionOf(index));
  add("Source", printable(rule.source));
  add(
    "First seen",
    `${(COLUMNS.first_seen[index] ?? "").slice(0, 16)} UTC${COLUMNS.state[index] ? `, ${COLUMNS.state[index]}` : ""}`,
  );
  add("Finding id", element("a", { href: `#finding=${COLUMNS.finding_id[index]}` }, COLUMNS.finding_id[index]));
  return list;
}

function placeOf(index) {
  const parts = [code(COLUMNS.subject[index])];
  if (COLUMNS.event[index]) parts.push(` ${COLUMNS.event[index]}`);
  if (COLUMNS.target[index]) parts.push(" to ", code(COLUMNS.target[index]));
  return parts;
}

function suppressionOf(index) {
  if (COLUMNS.suppressed[index] !== "yes") return "";
  const { suppressed_until: until, suppressed_by: by, suppression_reason: reason } = COLUMNS;
  return printable(`until ${until[index]}, by ${by[index]}: ${reason[index]}`);
}

function drawEvidence(index) {
  const body = element("tbody", {});
  for (const [name, value] of evidenceOf(index)) {
    body.append(
      element("tr", {}, element("th", { scope: "row" }, printable(name)), element("td", {}, code(valueText(value)))),
    );
  }
  return element("table", { class: "evidence" }, body);
}

function drawBlock(block) {
  const copy = element("button", { type: "button", class: "copy" }, "Copy");
  const text = element("code", {}, block.text);
  copy.addEventListener("click", async () => {
    copy.textContent = (await copyText(block.text, text)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  });
  const name = block.language === "hcl" ? "Terraform" : "Command";
  const shown = element("pre", { tabindex: "0", role: "group", "aria-label": name }, text);
  return element("div", { class: "block" }, element("span", { class: "language" }, name), copy, shown);
}

// Where the clipboard is closed to a page, the text is selected instead.
async function copyText(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(shown);
    return document.execCommand("copy");
  }
}

// Everything that the filters leave, without anything to click; the texts of a rule once.
function drawForPrint(parent, indices) {
  for (const group of groupBy(indices, "rule")) {
    const rule = DATA.rules[group.key];
    const body = element("tbody", {});
    for (const index of group.indices) {
      const unknown = isUnknown(index) ? `not checked: ${COLUMNS.why_unknown[index]}. ${fixOf(index)}` : "";
      const notes = [unknown, evidenceText(index), suppressionOf(index)];
      body.append(
        element(
          "tr",
          { "data-printed": COLUMNS.finding_id[index] },
          element("td", {}, [COLUMNS.severity[index], ...tagsOf(index)].join(", ")),
          element("td", {}, ...placeOf(index)),
          element("td", {}, notes.filter(Boolean).join("; ")),
          element("td", {}, (COLUMNS.first_seen[index] ?? "").slice(0, 10)),
        ),
      );
    }
    const head = element(
      "tr",
      {},
      ...["Severity", "Where", "Evidence", "First seen"].map((name) => element("th", { scope: "col" }, name)),
    );
    parent.append(
      element("h3", {}, `${printable(rule.title)} (${group.key}): ${formatNumber(group.indices.length)}`),
      element("p", {}, printable(rule.why)),
      element("p", { class: "do" }, printable(rule.fix)),
      element("pre", {}, element("code", {}, printableLines(rule.block))),
      element(
        "p",
        { class: "muted" },
        printable([rule.assumes && `Assumes: ${rule.assumes}`, `Source: ${rule.source}`].filter(Boolean).join(" ")),
      ),
      element("table", {}, element("thead", {}, head), body),
    );
  }
}

function printableLines(text) {
  return text.split("\n").map(printable).join("\n");
}
