// Filters: what is chosen, which findings it leaves, and how many each other choice would leave.

const FACETS = [
  ["severity", "Severity"],
  ["verdict", "Verdict"],
  ["area", "Area"],
  ["rule", "Rule"],
  ["region", "Region"],
  ["project", "Project"],
  ["package", "Package"],
  ["state", "State"],
  ["suppressed", "Suppressed"],
];
const COLUMN_OF = { project: "project_id" };
const DEFAULTS = { verdict: ["fail"], suppressed: ["no"] };
const GROUPS = { rule: "rule", function: "function", owner: "project and package", none: "nothing" };
const SORTS = {
  severity: "severity",
  rule: "rule",
  function: "function",
  project: "project",
  newest: "first seen, newest first",
  oldest: "first seen, oldest first",
  state: "state",
};
const MANY = 12; // a facet with more values gets a field to find them
const MOST = 200; // values of a facet that are drawn

let state = null;
const facets = FACETS.map(([name, label]) => makeFacet(name, label));
const order = sortKeys();
let haystacks = null;

function makeFacet(name, label) {
  const column = COLUMNS[COLUMN_OF[name] ?? name];
  const known = name === "severity" ? DATA.severities : [];
  const sorted = [...new Set(column)].filter((value) => value !== null).sort();
  const values = [...new Set([...known.filter((value) => sorted.includes(value)), ...sorted])];
  const codes = new Map(values.map((value, code) => [value, code]));
  return { name, label, values, codeOf: codes, codes: Int32Array.from(column, (value) => codes.get(value) ?? -1) };
}

function sortKeys() {
  const rank = new Map(DATA.severities.map((severity, at) => [severity, at]));
  const severity = COLUMNS.severity.map((name) => rank.get(name));
  const compare = (left, right) => (left < right ? -1 : left > right ? 1 : 0);
  const by = (name) => (a, b) => compare(COLUMNS[name][a] ?? "", COLUMNS[name][b] ?? "");
  const usual = (a, b) => severity[a] - severity[b] || by("rule")(a, b) || a - b;
  const then = (first) => (a, b) => first(a, b) || usual(a, b);
  return {
    severity: usual,
    rule: then(by("rule")),
    function: then(by("function_name")),
    project: then(by("project_id")),
    newest: then((a, b) => by("first_seen")(b, a)),
    oldest: then(by("first_seen")),
    state: then(by("state")),
    rank: severity,
  };
}

function emptyState() {
  return { choices: structuredClone(DEFAULTS), text: "", finding: "", group: "rule", sort: "severity" };
}

// #severity=high,critical&rule=FGA101&q=words&group=function; what is left out has its default, and "verdict=" is all.
function readHash(hash) {
  const state = emptyState();
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  for (const { name, values } of facets) {
    if (!parameters.has(name)) continue;
    state.choices[name] = parameters.getAll(name).filter((value) => values.includes(value));
    if (parameters.getAll(name).some((value) => value && !values.includes(value)) && !state.choices[name].length) {
      state.choices[name] = [null]; // a value that no finding has
    }
  }
  state.text = parameters.get("q") ?? "";
  state.finding = parameters.get("finding") ?? "";
  if (state.finding) state.choices = {};
  if (parameters.get("group") in GROUPS) state.group = parameters.get("group");
  if (parameters.get("sort") in SORTS) state.sort = parameters.get("sort");
  return state;
}

function writeHash(state) {
  const parameters = new URLSearchParams();
  for (const { name } of facets) {
    const chosen = state.choices[name] ?? [];
    if (!state.finding && String(chosen) !== String(DEFAULTS[name] ?? [])) {
      for (const value of chosen.length ? chosen : [""]) parameters.append(name, value ?? "?");
    }
  }
  if (state.text) parameters.set("q", state.text);
  if (state.finding) parameters.set("finding", state.finding);
  if (state.group !== "rule") parameters.set("group", state.group);
  if (state.sort !== "severity") parameters.set("sort", state.sort);
  return parameters.size ? `#${parameters}` : "";
}

// Returns the findings in order, and for each facet the number of findings of each value that the other filters leave.
function applyFilters(state) {
  const wanted = facets.map(({ name, codeOf }) => {
    const chosen = state.choices[name] ?? [];
    return chosen.length ? new Set(chosen.map((value) => codeOf.get(value))) : null;
  });
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const counts = facets.map(({ values }) => new Int32Array(values.length));
  const indices = [];
  for (let index = 0; index < COUNT; index++) {
    if (state.finding && COLUMNS.finding_id[index] !== state.finding) continue;
    if (words.length && !words.every((word) => haystack(index).includes(word))) continue;
    let misses = 0;
    let missed = -1;
    for (let at = 0; at < facets.length && misses < 2; at++) {
      if (wanted[at] && !wanted[at].has(facets[at].codes[index])) {
        misses++;
        missed = at;
      }
    }
    if (misses === 0) indices.push(index);
    for (let at = 0; at < facets.length; at++) {
      const code = facets[at].codes[index];
      if (code >= 0 && (misses === 0 || (misses === 1 && missed === at))) counts[at][code]++;
    }
  }
  return { indices: indices.sort(order[state.sort]), counts };
}

const SEARCHED = ["finding_id", "rule", "severity", "area", "subject", "event", "target", "evidence", "why_unknown"];

function haystack(index) {
  haystacks ??= new Array(COUNT);
  haystacks[index] ??= [...SEARCHED.map((name) => COLUMNS[name][index] ?? ""), DATA.rules[COLUMNS.rule[index]].title]
    .join("\n")
    .toLowerCase();
  return haystacks[index];
}

function valueLabel(name, value) {
  return name === "rule" ? `${value} ${DATA.rules[value].title}` : value;
}

// Draws the form once; a change calls onChange with what is different.
function buildFilters(form, onChange) {
  const text = element("input", { id: "f-text", type: "search", autocomplete: "off", spellcheck: "false" });
  text.placeholder = "Name, URN, rule, target, evidence";
  text.addEventListener("input", () => onChange({ text: text.value, finding: "" }));
  form.append(element("label", { class: "search" }, "Search", text));
  for (const facet of facets) {
    if (facet.values.length) form.append(buildFacet(facet, onChange));
  }
  document.addEventListener("click", (event) => {
    for (const box of form.querySelectorAll("details[open]")) if (!box.contains(event.target)) box.open = false;
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}

function buildFacet(facet, onChange) {
  facet.chosen = element("span", { class: "chosen" });
  facet.panel = element("div", { class: "choices", role: "group", "aria-label": facet.label });
  facet.rest = element("p", { class: "muted" });
  facet.boxes = [];
  facet.wanted = "";
  if (facet.values.length > MANY) facet.panel.append(choiceSearch(facet));
  facet.panel.append(facet.rest);
  facet.panel.addEventListener("change", ({ target }) => {
    const others = (state.choices[facet.name] ?? []).filter((value) => value !== null && value !== target.value);
    const chosen = target.checked ? [...others, target.value] : others;
    onChange({ choices: { ...state.choices, [facet.name]: chosen }, finding: "" });
  });
  const box = element("details", { class: "facet", id: `f-${facet.name}` });
  box.append(element("summary", {}, element("span", {}, facet.label), facet.chosen), facet.panel);
  box.addEventListener("toggle", () => {
    facet.panel.classList.remove("flip");
    const edge = document.documentElement.clientWidth;
    facet.panel.classList.toggle("flip", facet.panel.getBoundingClientRect().right > edge);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.open) return;
    box.open = false;
    box.firstElementChild.focus();
  });
  box.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !box.contains(event.relatedTarget)) box.open = false;
  });
  return box;
}

function choiceSearch(facet) {
  const field = element("input", {
    type: "search",
    "aria-label": `Find: ${facet.label.toLowerCase()}`,
    placeholder: "Find",
  });
  field.addEventListener("change", (event) => event.stopPropagation());
  field.addEventListener("input", () => {
    facet.wanted = field.value.toLowerCase();
    drawChoices(facet);
  });
  return field;
}

// Draws the values that are searched for; of very many the most frequent, and those that are chosen.
function drawChoices(facet) {
  const chosen = state.choices[facet.name] ?? [];
  const found = facet.values.filter((value) => valueLabel(facet.name, value).toLowerCase().includes(facet.wanted));
  const count = (value) => facet.counts[facet.codeOf.get(value)];
  let shown = found;
  if (found.length > MOST) {
    const frequent = new Set(found.toSorted((a, b) => count(b) - count(a)).slice(0, MOST));
    shown = found.filter((value) => frequent.has(value) || chosen.includes(value));
  }
  if (shown.join("\n") !== facet.boxes.map(({ value }) => value).join("\n")) {
    for (const { label } of facet.boxes) label.remove();
    facet.boxes = shown.map((value) => buildChoice(facet, value));
    facet.rest.before(...facet.boxes.map(({ label }) => label));
  }
  for (const { value, box, number, label } of facet.boxes) {
    box.checked = chosen.includes(value);
    number.textContent = formatNumber(count(value));
    label.classList.toggle("none", count(value) === 0 && !box.checked);
  }
  facet.rest.textContent =
    shown.length < found.length ? `${formatNumber(found.length - shown.length)} more: find them` : "";
}

function buildChoice(facet, value) {
  const box = element("input", { type: "checkbox", name: facet.name, value });
  const number = element("span", { class: "number" });
  const name = element("bdi", {}, printable(cut(valueLabel(facet.name, value), NAME_WIDTH)));
  return { value, box, number, label: element("label", {}, box, name, number) };
}

function showFilters(counts) {
  facets.forEach((facet, at) => {
    if (facet.values.length === 0) return;
    facet.counts = counts[at];
    drawChoices(facet);
    const chosen = state.choices[facet.name] ?? [];
    const names = chosen.filter((value) => value !== null).map((value) => printable(cut(value, NAME_WIDTH)));
    const text = names.length > 2 ? `${names.length} chosen` : names.join(", ") || "none";
    facet.chosen.textContent = chosen.length === 0 ? "all" : text;
  });
  const field = document.getElementById("f-text");
  if (field.value !== state.text) field.value = state.text;
}
