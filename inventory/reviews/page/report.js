// The page: reads the address, draws what it asks for, and writes it back.

state = emptyState();
let result = { indices: [], counts: [] };

function fillSelect(id, choices) {
  const select = document.getElementById(id);
  for (const [value, label] of Object.entries(choices)) select.append(element("option", { value }, label));
  select.addEventListener("change", () => change({ [id]: select.value }));
  return select;
}

function show() {
  result = applyFilters(state);
  showFilters(result.counts);
  document.getElementById("group").value = state.group;
  document.getElementById("sort").value = state.sort;
  const noun = COUNT === 1 ? "finding" : "findings";
  document.getElementById("count").textContent =
    `${formatNumber(result.indices.length)} of ${formatNumber(COUNT)} ${noun}`;
  document.getElementById("clear").hidden = writeHash({ ...state, group: "rule", sort: "severity" }) === "";
  drawRows(document.getElementById("rows"), result.indices, state.group);
}

// A change of the form: the address shows it, and "back" leaves the page as before.
function change(changes) {
  state = { ...state, ...changes };
  history.replaceState(null, "", writeHash(state) || location.pathname + location.search);
  show();
}

// A link such as #severity=high was followed, or the address was edited.
function followHash() {
  state = readHash(location.hash);
  show();
  if (location.hash) document.getElementById("findings").scrollIntoView({ behavior: "instant" });
}

// A click on a link to what the address already says changes nothing that the browser reports.
function followLink(event) {
  const link = event.target.closest("a[href^='#']");
  if (!link) return;
  const { hash } = link;
  if (hash.includes("=")) {
    if (hash === location.hash) followHash();
  } else {
    event.preventDefault(); // the address keeps the filters
    document.querySelector(hash).scrollIntoView();
    document.querySelector(hash).focus();
  }
}

function exportCsv() {
  const url = URL.createObjectURL(new Blob([toCsv(result.indices)], { type: "text/csv" }));
  element("a", { href: url, download: "findings.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

buildFilters(document.getElementById("filters"), change);
fillSelect("group", GROUPS);
fillSelect("sort", SORTS);
document.getElementById("clear").addEventListener("click", () => {
  const { group, sort } = state;
  change({ ...emptyState(), group, sort });
});
document.getElementById("export").addEventListener("click", exportCsv);
addEventListener("hashchange", followHash);
addEventListener("click", followLink);
addEventListener("beforeprint", () => drawForPrint(document.getElementById("print"), result.indices));
addEventListener("afterprint", () => document.getElementById("print").replaceChildren());
document.documentElement.classList.toggle("has-states", COLUMNS.state.some(Boolean));
followHash();
document.documentElement.dataset.ready = "true";
