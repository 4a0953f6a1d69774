// Which designs are shown, and which of them are brushed: the one place that plots and table ask and tell.
//
// A design passes when its kind is switched on and the table's filters let it through; plots show what passes. Of these
// each plot may brush some: what every brush contains is picked, listed in the table and drawn in colour.

const KINDS = {
  front: { label: "front", colour: "front" },
  scored: { label: "other designs", colour: "scored" },
  beaten: { label: "beaten, not measured in full", colour: "skipped" },
  "ruled out": { label: "ruled out by constraints", colour: "skipped" },
  reference: { label: "references", colour: "reference" },
};

const brushedDesigns = {
  kinds: new Set(Object.keys(KINDS)),
  brushes: new Map(),
  listeners: [],

  /** Sets the brush of one plot: a Set of designs' keys, or null for none. */
  brush(plot, keys) {
    if (keys === null) this.brushes.delete(plot); else this.brushes.set(plot, keys);
    this.listeners.forEach(listener => listener());
  },

  get active() { return this.brushes.size > 0; },

  picks(design) {
    for (const keys of this.brushes.values()) if (!keys.has(design.key)) return false;
    return true;
  },
};

/** Gives every design a key that stays the same when newer data of the run arrive. */
function withKeys(designs) {
  designs.forEach(design => { design.key = `${design.kind === "reference" ? "reference " : ""}${design.digest} ${design.name}`; });
  return designs;
}

/** The lines that a plot says of a design when it is pointed at, for Plotly. */
function hoverText(design, columns, extra = []) {
  const lines = [`<b>${plainLabel(design.name)}</b> (${design.kind === "reference" ? "reference" : KINDS[design.kind].label})`];
  columns.forEach((column, k) => {
    if (design.values[k] !== null && (column.judged || extra.includes(k))) lines.push(plainLabel(`${column.label}: ${scoreText(design, k, columns)}`));
  });
  if (design.reason) lines.push(plainLabel(design.reason.length > 90 ? `${design.reason.slice(0, 87)}...` : design.reason));
  return lines.join("<br>");
}

/** A score with its unit and its 95 % interval, if it has one. */
function scoreText(design, k, columns) {
  const unit = columns[k].unit ? ` ${columns[k].unit}` : "", bounds = design.bounds[k];
  const digits = bounds && bounds[0] !== null && bounds[1] !== null ? ` [${Number(bounds[0].toPrecision(4))}, ${Number(bounds[1].toPrecision(4))}]` : "";
  return `${design.texts[k]}${unit}${digits}`;
}
