// Parallel coordinates: an axis for each score, a line for each design. Every axis runs from 0 (the best end, below) to
// 1, whatever its scale; designs that a box over an axis does not meet are brushed away.

class ParallelCoordinates {
  constructor(run, { passing, open }) {
    Object.assign(this, { run, passing, open });
    this.node = document.getElementById("parallel");
    this.axes = this.usualAxes();
    this.drawChoices();
  }

  /** What designs were judged by, then other scores of the circuit, as many as there is room for. */
  usualAxes() {
    const room = Math.max(3, Math.min(8, Math.floor(innerWidth / 150)));
    const measured = k => this.run.designs.filter(design => design.values[k] !== null).length > this.run.designs.length / 2;
    const judged = this.run.objectives.map(name => this.run.columns.findIndex(column => column.name === name));
    const others = this.run.columns.map((_, k) => k).filter(k => !judged.includes(k) && (this.run.columns[k].judged || this.run.columns[k].inTable) && measured(k));
    return [...judged, ...others].slice(0, Math.max(room, judged.length));
  }

  drawChoices() {
    const boxes = this.run.columns.map((column, k) => checkBox(column.label, this.axes.includes(k), on => {
      this.axes = on ? [...this.axes, k] : this.axes.filter(other => other !== k);
      this.forget().then(() => { brushedDesigns.brush("parallel", null); this.draw(); });
    }));
    document.getElementById("parallel-choices").replaceChildren(
      element("details", { class: "menu" }, element("summary", {}, "Axes"), element("div", {}, boxes)));
  }

  async draw() {
    if (this.axes.length < 2) return;
    const first = await drawChart(this.node, () => this.describe(), { modeBarButtonsToRemove: ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "lasso2d", "resetScale2d"] });
    if (!first) return;
    const brush = () => brushedDesigns.brush("parallel", this.met(this.node.layout.selections ?? []));
    this.node.on("plotly_selected", brush);
    this.node.on("plotly_deselect", () => brushedDesigns.brush("parallel", null));
    this.node.on("plotly_click", event => {
      const design = this.run.designs.find(candidate => candidate.key === event.points[0]?.customdata);
      if (design) this.open(design);
    });
  }

  async forget() {
    const library = await plotly();
    if (this.node.layout?.selections?.length) await library.relayout(this.node, { selections: [] });
  }

  /** Keys of the designs that pass every axis with boxes through one of its boxes; null without boxes. */
  met(boxes) {
    const spans = this.axes.map((_, place) => boxes.filter(box => Math.min(box.x0, box.x1) <= place && place <= Math.max(box.x0, box.x1)).map(box => [Math.min(box.y0, box.y1), Math.max(box.y0, box.y1)]));
    if (!spans.some(list => list.length)) return null;
    const scales = this.scales();
    return new Set(this.run.designs.filter(design => spans.every((list, place) => {
      const at = scales[place].at(design.values[this.axes[place]]);
      return !list.length || (at !== null && list.some(([low, high]) => at >= low && at <= high));
    })).map(design => design.key));
  }

  /** For each axis: value -> 0 .. 1, and its ticks. References do not stretch an axis. */
  scales() {
    return this.axes.map(k => {
      const column = this.run.columns[k], own = this.run.designs.filter(design => design.kind !== "reference").map(design => design.values[k]).filter(value => value !== null);
      const values = own.length ? own : [0, 1], scale = usualScale(column, values), [low, high] = scaledRange(values, scale, 0.02);
      const place = position => column.minimise ? (position - low) / (high - low) : (high - position) / (high - low);
      return {
        at: value => { const position = scaled(value, scale); return position === null ? null : place(position); },
        ticks: tickValues([low, high], scale, 5).map(value => [place(scaled(value, scale)), tickText(value)]),
      };
    });
  }

  describe() {
    const scales = this.scales(), designs = this.passing();
    const groups = new Map();
    for (const design of designs) {
      const name = brushedDesigns.active && !brushedDesigns.picks(design) ? "unpicked" : design.kind;
      groups.set(name, [...(groups.get(name) ?? []), design]);
    }
    const traces = ["unpicked", "ruled out", "beaten", "scored", "reference", "front"].filter(name => groups.has(name)).map(name => this.lines(name, groups.get(name), scales));
    const narrow = this.node.clientWidth < 600;
    const headings = this.axes.map((k, place) => ({
      x: place, y: 1.03, xref: "x", yref: "y", yanchor: "bottom", showarrow: false, font: { size: narrow ? 10 : 12 },
      text: plainLabel(this.run.columns[k].heading).replace(/\n/g, "<br>"),
    }));
    const ticks = scales.flatMap((scale, place) => scale.ticks.map(([y, text]) => ({
      x: place, y, xref: "x", yref: "y", xanchor: "right", xshift: -4, showarrow: false, text, font: { size: 10, color: colour("soft") }, bgcolor: colour("paper"), opacity: 0.85,
    })));
    return [traces, {
      xaxis: { range: [-0.35, this.axes.length - 0.75], showgrid: false, zeroline: false, showticklabels: false, fixedrange: true },
      yaxis: { range: [-0.05, 1.22], showgrid: false, zeroline: false, showticklabels: false, fixedrange: true },
      shapes: this.axes.map((_, place) => ({ type: "line", x0: place, x1: place, y0: 0, y1: 1, line: { color: colour("soft"), width: 1 } })),
      annotations: [...headings, ...ticks], dragmode: "select", hovermode: "closest", showlegend: false, margin: { l: 20, r: 12, t: 8, b: 8 },
      uirevision: this.axes.join(" "), newselection: { line: { color: colour("front") } },
    }];
  }

  lines(name, designs, scales) {
    const x = [], y = [], keys = [], text = [], { columns } = this.run;
    for (const design of designs) {
      const words = hoverText(design, columns);
      this.axes.forEach((k, place) => {
        // A reference far outside ends at the edge, not in the headings.
        const at = scales[place].at(design.values[k]);
        x.push(place); y.push(at === null ? null : Math.max(-0.03, Math.min(1.03, at))); keys.push(design.key); text.push(words);
      });
      x.push(null); y.push(null); keys.push(null); text.push(null);
    }
    const faint = name === "unpicked", hue = colour(faint ? "scored" : KINDS[name].colour);
    return {
      // Thousands of markers would take seconds to draw; pointing at a line's corners works without them.
      type: "scatter", mode: x.length > 3000 ? "lines" : "lines+markers", x, y, customdata: keys, text, hoverinfo: faint ? "skip" : "text", connectgaps: false,
      opacity: faint ? 0.12 : name === "front" || name === "reference" ? 1 : 0.4,
      line: { color: hue, width: name === "front" ? 1.8 : 1, dash: name === "reference" ? "dash" : "solid" },
      marker: { color: hue, size: faint ? 1 : 4 }, unselected: { marker: { opacity: 1 } },
    };
  }
}
