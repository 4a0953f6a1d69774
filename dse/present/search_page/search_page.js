// The page of a search: its parts, wired together, and newer data while the search still runs.

const REFRESH_SECONDS = 3;
const run = { ...pageData, designs: withKeys(pageData.designs) };

function tableColumns() {
  const judgedFirst = run.columns.map((column, k) => [column, k]).sort(([a], [b]) => rank(a) - rank(b));
  function rank(column) {
    const objective = run.objectives.indexOf(column.name);
    return objective >= 0 ? objective : column.judged ? 100 : column.inTable ? 200 : 300;
  }
  const text = (key, heading, value, more = {}) => ({ key, heading, title: heading, numeric: false, text: value, value, fields: [[heading, value]], ...more });
  const bound = (k, end) => design => design.bounds[k]?.[end] ?? null;
  return [
    text("design", "design", design => design.name),
    ...judgedFirst.map(([column, k]) => ({
      key: column.name, heading: column.heading, title: column.unit ? `${column.label} [${column.unit}]` : column.label, numeric: true,
      text: design => design.texts[k], value: design => design.values[k],
      fields: [[column.header, design => design.values[k]], ...(run.designs.some(design => design.bounds[k]) ? [[`${column.header} low`, bound(k, 0)], [`${column.header} high`, bound(k, 1)]] : [])],
    })),
    text("kind", "kind", design => design.kind),
    text("reason", "why skipped", design => design.reason, { long: true }),
    text("structure", "structure", design => design.structure, { long: true }),
    text("digest", "digest", design => design.digest.slice(0, 10), { fields: [["digest", design => design.digest], ["TOML", design => opened.toml(design)]] }),
  ];
}

const rowClass = design => design.kind === "front" ? "front" : design.kind === "reference" ? "reference" : design.kind === "scored" ? "" : "skipped";
const shownDesigns = () => run.designs.filter(design => brushedDesigns.kinds.has(design.kind));
let opened = null, table = null, skippedTable = null, scatter = null, parallel = null, curves = null;

function drawPlots() {
  scatter?.draw();
  parallel?.draw();
}

function drawKinds() {
  const counts = kind => run.designs.filter(design => design.kind === kind).length;
  const brushed = brushedDesigns.active ? element("span", { class: "chip" }, `${table.listed.length} brushed`,
    element("button", { type: "button", class: "plain", "aria-label": "let go of what was brushed", id: "clear-brush", onclick: () => { brushedDesigns.brushes.clear(); scatter.forget(); parallel.forget(); brushedDesigns.listeners.forEach(listener => listener()); } }, "\u2715")) : null;
  document.getElementById("kinds").replaceChildren(...Object.keys(KINDS).filter(counts).map(kind => checkBox(`${KINDS[kind].label} (${counts(kind)})`, brushedDesigns.kinds.has(kind), on => {
    if (on) brushedDesigns.kinds.add(kind); else brushedDesigns.kinds.delete(kind);
    table.setRows(shownDesigns());
  }, { id: `kind-${kind.replace(" ", "-")}` })), ...(brushed ? [brushed] : []));
}

function fillLists() {
  const pairs = (id, entries) => document.getElementById(id).replaceChildren(...entries.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, name === "command" || name === "run" ? element("code", {}, value) : value)]));
  const goal = run.objectives.map(name => run.columns.find(column => column.name === name)).map(column => `${column.minimise ? "smallest" : "largest"} ${column.label}${column.unit ? ` [${column.unit}]` : ""}`).join("; ");
  pairs("question", [run.question[0], ["objectives", goal], ...run.question.slice(1)]);
  pairs("provenance", run.provenance);
  document.getElementById("notes").replaceChildren(...run.notes.map(note => element("li", {}, note)));
  const front = run.designs.filter(design => design.kind === "front").length, skipped = run.designs.filter(design => design.reason);
  document.getElementById("summary").textContent = `${front} designs on the Pareto front over ${run.objectives.join(", ")}; ${run.designs.filter(design => design.kind !== "reference").length} designs in all.${run.live ? ` The search is running; updated ${new Date().toLocaleTimeString()}.` : ""}`;
  const count = kind => run.designs.filter(design => design.kind === kind).length;
  document.getElementById("skipped-summary").textContent = skipped.length
    ? [count("ruled out") ? `${count("ruled out")} designs break a constraint and cannot be on the front.` : "", count("beaten") ? `${count("beaten")} designs were not measured in full, because a scored design dominates them whatever the rest is.` : ""].filter(Boolean).join(" ")
    : "No design was skipped.";
  document.getElementById("failures").replaceChildren(...run.failures.map(([name, reason]) => element("li", { class: "bad" }, `Not scored: ${name}: ${reason}`)));
  if (skipped.length && !skippedTable) {
    const text = (key, heading, value, more) => ({ key, heading, title: heading, numeric: false, text: value, value, fields: [[heading, value]], ...more });
    skippedTable = new DataTable(document.getElementById("skipped"), {
      name: "skipped", label: "skipped designs", rows: skipped, open: design => opened.open(design), shown: ["design", "kind", "reason"],
      columns: [text("design", "design", design => design.name), text("kind", "kind", design => design.kind), text("reason", "why, and what was left out", design => design.reason, { long: true })],
    });
  } else skippedTable?.setRows(skipped);
}

function setUp() {
  opened = new OpenedDesign(run, { listed: () => table.listed });
  table = new DataTable(document.getElementById("designs"), {
    name: "designs", label: "designs", rows: shownDesigns(), columns: tableColumns(), rowClass, open: design => opened.open(design), changed: drawPlots,
  });
  table.extra = design => brushedDesigns.picks(design);
  const shared = { passing: () => table.passing, open: design => opened.open(design) };
  scatter = new ScatterPlot(run, shared);
  parallel = new ParallelCoordinates(run, shared);
  curves = new SearchCurves(run);
  brushedDesigns.listeners.push(() => { table.narrow(); drawKinds(); drawPlots(); });
  fillLists();
  drawKinds();
  drawPlots();
  curves.draw();
  const wish = /^#design=(.+)$/.exec(location.hash);
  const wanted = wish && run.designs.find(design => design.digest === decodeURIComponent(wish[1]));
  if (wanted) opened.open(wanted);
}

/** Asks the server for newer data; sorting, filters, zoom and brushes stay as they are. */
async function refresh() {
  try {
    const answer = await fetch(`data?since=${encodeURIComponent(run.version)}`, { cache: "no-store" });
    if (answer.status === 200) {
      const data = await answer.json();
      Object.assign(run, data, { designs: withKeys(data.designs) });
      table.setRows(shownDesigns());
      drawKinds();
      fillLists();
      curves.draw();
    }
    setTimeout(refresh, 1000 * REFRESH_SECONDS);
  } catch {
    document.getElementById("summary").textContent += ` The search has ended, or was stopped; what it wrote is in ${run.folder}.`;
  }
}

setUp();
if (run.live) setTimeout(refresh, 1000 * REFRESH_SECONDS);
