// Two scores against each other. Positions on an axis are `scaled` values, so that every scale works alike.
//
// The front is drawn last, above references. Names stand beside their points, where they cover no point and no other
// name; a name without such a place is left out, and pointing at the point tells it.

const NAME_SPOTS = [[9, -9], [9, 11], [-9, -9], [-9, 11], [0, -17], [0, 19], [26, -26], [-26, -26], [26, 28], [-26, 28], [48, -6], [-48, -6], [40, -46], [-40, -46]];
const SYMBOLS = { "ruled out": "x-thin", beaten: "triangle-up-open", scored: "circle", reference: "diamond-open", front: "circle" };
const SIZES = { "ruled out": 7, beaten: 7, scored: 6, reference: 14, front: 9 };

class ScatterPlot {
  /** `passing()`: the designs to show; `open(design)`: opens one. */
  constructor(run, { passing, open }) {
    Object.assign(this, { run, passing, open });
    this.node = document.getElementById("scatter");
    const judged = run.objectives.map(name => run.columns.findIndex(column => column.name === name));
    this.x = judged[0];
    this.y = judged[1] ?? run.columns.findIndex((column, k) => k !== this.x && column.inTable);
    this.scales = { x: null, y: null };
    this.fit = "designs";
    this.drag = "zoom";
    this.show = { intervals: false, line: true, frontNames: false, referenceNames: true };
    this.drawChoices();
  }

  drawChoices() {
    const options = this.run.columns.map((column, k) => [String(k), column.label]).filter(([k]) => this.run.designs.some(design => design.values[k] !== null));
    const again = change => value => { change(value); this.drawChoices(); this.draw(); };
    const scales = [["linear", "linear"], ["log", "log"], ["symlog", "linear to 1, then log"]];
    const flag = (key, label) => checkBox(label, this.show[key], on => { this.show[key] = on; this.draw(); }, { id: `scatter-${key}` });
    document.getElementById("scatter-choices").replaceChildren(
      choiceList("horizontal axis", options, String(this.x), again(k => { this.x = Number(k); this.scales.x = null; }), { id: "scatter-x" }),
      choiceList("scale of the horizontal axis", scales, this.scale("x"), again(scale => { this.scales.x = scale; }), { id: "scatter-x-scale" }),
      element("span", {}, "against"),
      choiceList("vertical axis", options, String(this.y), again(k => { this.y = Number(k); this.scales.y = null; }), { id: "scatter-y" }),
      choiceList("scale of the vertical axis", scales, this.scale("y"), again(scale => { this.scales.y = scale; }), { id: "scatter-y-scale" }),
      choiceList("range of the axes", [["designs", "range: designs"], ["front", "range: front"], ["all", "range: with references"]], this.fit, again(fit => { this.fit = fit; this.revision = (this.revision ?? 0) + 1; }), { id: "scatter-fit" }),
      choiceList("what dragging does", [["zoom", "dragging zooms"], ["select", "dragging brushes"], ["lasso", "dragging lassoes"], ["pan", "dragging moves"]], this.drag, again(drag => { this.drag = drag; }), { id: "scatter-drag" }),
      flag("intervals", "95 % intervals"), flag("line", "front line"), flag("frontNames", "names of the front"), flag("referenceNames", "names of references"));
  }

  scale(axis) {
    const k = this[axis];
    return this.scales[axis] ?? usualScale(this.run.columns[k], this.valuesForRange(k));
  }

  /** The values that choose scale and range: never a reference's, which may be far away. */
  valuesForRange(k) {
    const wanted = this.fit === "front" ? design => design.kind === "front" : this.fit === "all" ? () => true : design => design.kind !== "reference";
    const values = this.run.designs.filter(wanted).map(design => design.values[k]).filter(value => value !== null);
    return values.length ? values : this.run.designs.map(design => design.values[k]).filter(value => value !== null);
  }

  async draw() {
    const first = await drawChart(this.node, () => this.describe(), { modeBarButtonsToAdd: ["select2d", "lasso2d"] });
    if (first) {
      // Removing the outline also tells of a selection, of nothing.
      this.node.on("plotly_selected", event => brushedDesigns.brush("scatter", event && this.node.layout.selections?.length ? new Set(event.points.map(point => point.customdata).filter(Boolean)) : null));
      this.node.on("plotly_deselect", () => brushedDesigns.brush("scatter", null));
      this.node.on("plotly_click", event => this.clicked(event));
      this.node.on("plotly_relayout", () => this.placeNames());
      new ResizeObserver(whenQuiet(() => this.placeNames(), 250)).observe(this.node);
    }
    this.placeNames();
  }

  /** Lets go of the brush's outline, when it was dropped elsewhere. */
  async forget() {
    const library = await plotly();
    if (this.node.layout?.selections?.length) await library.relayout(this.node, { selections: [] });
  }

  clicked(event) {
    const key = event.points[0]?.customdata;
    const design = this.run.designs.find(candidate => candidate.key === key);
    if (!design) return;
    // What lies on the same spot: the front's design comes first, whatever is drawn around it.
    const here = this.shown().filter(other => other.values[this.x] === design.values[this.x] && other.values[this.y] === design.values[this.y]);
    this.open(here.find(other => other.kind === "front") ?? design);
  }

  shown() {
    const scales = [this.scale("x"), this.scale("y")];
    return this.passing().filter(design => [this.x, this.y].every((k, n) => scaled(design.values[k], scales[n]) !== null));
  }

  describe() {
    const { columns } = this.run, scales = { x: this.scale("x"), y: this.scale("y") };
    const shown = this.shown();
    const at = (design, axis) => scaled(design.values[this[axis]], scales[axis]);
    const sameSpot = new Map();
    for (const design of shown) {
      const spot = `${design.values[this.x]} ${design.values[this.y]}`;
      sameSpot.set(spot, [...(sameSpot.get(spot) ?? []), design]);
    }
    const text = design => {
      const others = sameSpot.get(`${design.values[this.x]} ${design.values[this.y]}`).filter(other => other !== design);
      const also = others.length ? `<br>here too: ${plainLabel(others.slice(0, 4).map(other => other.name).join(", "))}${others.length > 4 ? ", ..." : ""}` : "";
      return hoverText(design, columns, [this.x, this.y]) + also;
    };
    const traces = Object.keys(SYMBOLS).map(kind => {
      const members = shown.filter(design => design.kind === kind), hue = colour(KINDS[kind].colour);
      const trace = {
        type: "scatter", mode: "markers", name: KINDS[kind].label, showlegend: members.length > 0,
        x: members.map(design => at(design, "x")), y: members.map(design => at(design, "y")),
        customdata: members.map(design => design.key), text: members.map(text), hoverinfo: "text",
        marker: { color: hue, size: SIZES[kind], symbol: SYMBOLS[kind], opacity: kind === "scored" ? 0.75 : 1, line: { color: kind === "front" ? colour("paper") : hue, width: kind === "reference" ? 2.2 : kind === "front" ? 1 : 1.2 } },
        selectedpoints: brushedDesigns.active ? members.flatMap((design, k) => brushedDesigns.picks(design) ? [k] : []) : null,
        unselected: { marker: { opacity: 0.15 } },
      };
      if (this.show.intervals) for (const axis of ["x", "y"]) trace[`error_${axis}`] = this.intervals(members, axis, scales[axis], hue);
      return trace;
    });
    if (this.show.line) traces.splice(-1, 0, this.frontLine(shown, at));
    const axis = name => {
      const range = scaledRange(this.valuesForRange(this[name]), scales[name]) ?? [0, 1];
      return {
        title: { text: axisTitle(columns[this[name]]) }, range, zeroline: false,
        ...(scales[name] === "linear" ? {} : { tickmode: "array", tickvals: tickValues(range, scales[name]).map(value => scaled(value, scales[name])), ticktext: tickValues(range, scales[name]).map(tickText) }),
      };
    };
    return [traces, {
      xaxis: axis("x"), yaxis: axis("y"), dragmode: this.drag, hovermode: "closest", showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
      uirevision: `${this.x} ${this.y} ${scales.x} ${scales.y} ${this.fit} ${this.revision ?? 0}`, annotations: this.names ?? [],
    }];
  }

  intervals(members, axis, scale, hue) {
    const end = (design, place) => {
      const bound = design.bounds[this[axis]]?.[place] ?? null;
      const here = scaled(design.values[this[axis]], scale), there = bound === null ? null : scaled(bound, scale);
      return there === null ? null : Math.abs(there - here);
    };
    return {
      visible: members.some(design => design.bounds[this[axis]]), type: "data", symmetric: false, array: members.map(design => end(design, 1)), arrayminus: members.map(design => end(design, 0)), color: hue, thickness: 1, width: 2 };
  }

  /** The designs that none dominates in these two scores, joined as steps along the worse side. */
  frontLine(shown, at) {
    const sign = axis => this.run.columns[this[axis]].minimise ? 1 : -1;
    const points = shown.filter(design => design.kind === "front").map(design => [sign("x") * design.values[this.x], sign("y") * design.values[this.y], design]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const best = [];
    for (const point of points) if (!best.length || point[1] < best[best.length - 1][1]) best.push(point);
    return {
      type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { shape: "hv", color: colour("front"), width: 1.3 },
      x: best.map(([, , design]) => at(design, "x")), y: best.map(([, , design]) => at(design, "y")),
    };
  }

  /** Puts names beside points, now that the places of all points on the screen are known. */
  async placeNames() {
    const library = await plotly(), layout = this.node._fullLayout;
    if (!layout?.xaxis) return;
    const at = (design, axis) => scaled(design.values[this[axis]], this.scale(axis));
    const shown = this.shown();
    const pixels = shown.map(design => [layout.xaxis.d2p(at(design, "x")), layout.yaxis.d2p(at(design, "y"))]);
    const width = layout.xaxis._length, height = layout.yaxis._length, taken = [];
    const inside = ([x, y]) => x >= 0 && x <= width && y >= 0 && y <= height;
    const points = pixels.filter(inside);
    const hits = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
    const annotations = [];
    shown.forEach((design, n) => {
      const wanted = design.kind === "reference" ? this.show.referenceNames : design.kind === "front" && this.show.frontNames;
      if (!wanted || !inside(pixels[n])) return;
      const name = design.name.length > 32 ? `${design.name.slice(0, 30)}...` : design.name, wide = name.length * 6.6 + 6, high = 15;
      for (const [dx, dy] of NAME_SPOTS) {
        const left = pixels[n][0] + dx - (dx > 0 ? 0 : dx < 0 ? wide : wide / 2), top = pixels[n][1] + dy - high / 2;
        const box = [left, top, left + wide, top + high];
        const free = box[0] >= 0 && box[2] <= width && box[1] >= 0 && box[3] <= height
          && !points.some(([x, y]) => x > box[0] - 6 && x < box[2] + 6 && y > box[1] - 6 && y < box[3] + 6) && !taken.some(other => hits(box, other));
        if (!free) continue;
        taken.push(box);
        const far = Math.abs(dx) > 20 || Math.abs(dy) > 24;
        annotations.push({
          x: at(design, "x"), y: at(design, "y"), text: plainLabel(name), font: { size: 11, color: colour(KINDS[design.kind].colour) }, captureevents: false,
          ...(far ? { showarrow: true, arrowhead: 0, arrowwidth: 0.8, arrowcolor: colour("soft"), ax: dx, ay: dy, standoff: 7 } : { showarrow: false, xshift: dx, yshift: -dy }),
          xanchor: dx > 0 ? "left" : dx < 0 ? "right" : "center", yanchor: "middle", borderpad: 1,
        });
        break;
      }
    });
    this.names = annotations;
    const update = {}, signature = JSON.stringify(annotations);
    if (signature !== this.signature) Object.assign(update, { annotations });
    this.signature = signature;
    for (const axis of ["x", "y"]) {
      const scale = this.scale(axis), key = `${axis}axis`;
      if (scale === "linear") continue;
      const ticks = tickValues(layout[key].range, scale), text = ticks.map(tickText);
      if (JSON.stringify(layout[key].ticktext) !== JSON.stringify(text)) Object.assign(update, { [`${key}.tickvals`]: ticks.map(value => scaled(value, scale)), [`${key}.ticktext`]: text });
    }
    if (Object.keys(update).length) await library.relayout(this.node, update);
    this.tellOutside(layout);
  }

  /** Says which references lie outside the range, and what the scale cannot show. */
  tellOutside(layout) {
    const within = (design, axis) => { const at = scaled(design.values[this[axis]], this.scale(axis)), [low, high] = layout[`${axis}axis`].range; return at >= low && at <= high; };
    const outside = this.shown().filter(design => !within(design, "x") || !within(design, "y"));
    const missing = this.passing().filter(design => [this.x, this.y].some(k => design.values[k] === null)).length;
    const lost = this.passing().length - missing - this.shown().length;
    const names = outside.filter(design => design.kind === "reference").map(design => design.name);
    document.getElementById("scatter-notes").textContent = [
      names.length ? `Outside the range: ${names.join(", ")} (references); "range: with references" shows them.` : "",
      missing ? `${missing} designs have no value in one of the two scores, since they were skipped before it was measured.` : "",
      lost ? `${lost} designs are at or below 0, which a logarithmic axis does not have.` : "",
    ].filter(Boolean).join(" ");
  }
}
