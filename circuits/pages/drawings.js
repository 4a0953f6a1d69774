// Draws circuits/drawing's drawings as SVG: boxes, dots, lines and texts, and the legend that all of them share.

const DRAWING_ANCHORS = { start: "start", middle: "middle", end: "end" };
let drawingPatterns = 0;

/** A figure of a drawing (`Drawing.to_json`); `label` says what it shows to those who cannot see it. */
function drawnFigure(drawing, label) {
  const pixels = Math.max(4, Math.min(22, 920 / drawing.width));
  const patterns = [], fills = drawing.legend.map(([, fill, hatch]) => hatch ? hatchedFill(patterns, fill, hatch) : fill);
  const picture = svgElement("svg", {
    viewBox: `-0.3 -0.3 ${drawing.width + 0.6} ${drawing.height + 0.6}`, role: "img", "aria-label": `${drawing.kind} of ${label}`,
    width: Math.round(drawing.width * pixels), style: drawing.width > 60 ? "max-width:none" : null,
  }, svgElement("defs", {}, patterns));
  const makers = {
    b: ([x, y, width, height, style, rounded]) => svgElement("rect", {
      x, y, width, height, fill: fills[style], ...(rounded ? { rx: 0.15, stroke: "var(--drawing-edge)", "stroke-width": 0.05, "fill-opacity": 0.7 } : {}),
    }, svgElement("title", {}, drawing.legend[style][0])),
    d: ([x, y, count, open]) => svgElement("path", {
      d: Array.from({ length: count }, (_, k) => `M${x - 0.18} ${y + k}a.18.18 0 1 1 .36 0a.18.18 0 1 1-.36 0`).join(""),
      fill: open ? "var(--paper)" : "var(--ink)", stroke: open ? "var(--ink)" : "var(--paper)", "stroke-width": 0.06,
    }),
    l: ([points, strong]) => svgElement("path", {
      d: points.map((value, k) => (k % 4 === 0 ? "M" : k % 4 === 2 ? "L" : " ") + value).join(""), fill: "none",
      stroke: strong ? "var(--ink)" : "var(--soft)", "stroke-width": strong ? 0.08 : 0.05, "stroke-opacity": strong ? 1 : 0.45,
    }),
    t: ([x, y, text, size, anchor]) => svgElement("text", { x, y, "font-size": size, "text-anchor": DRAWING_ANCHORS[anchor], fill: "var(--ink)" }, text),
  };
  for (const [kind, ...values] of drawing.shapes) picture.append(makers[kind](values));
  const key = drawing.legend.map(([name, , , count], k) => element("span", {},
    svgElement("svg", { viewBox: "0 0 1 1", "aria-hidden": "true" }, svgElement("rect", { width: 1, height: 1, fill: fills[k] })), `${name}: ${count}`));
  return element("figure", { class: "drawing" },
    element("div", { class: "pan", tabindex: 0 }, picture),
    element("figcaption", {}, element("div", { class: "legend" }, key), drawing.notes.map(note => element("p", { class: "soft" }, note))));
}

/** A fill with lines or dots over its colour, as matplotlib's hatches; it joins `patterns`. */
function hatchedFill(patterns, fill, hatch) {
  const id = `hatch-${++drawingPatterns}`, line = path => svgElement("path", { d: path, stroke: "#333", "stroke-width": 0.05, fill: "none" });
  const marks = { "/": "M0 .5L.5 0", "\\": "M0 0L.5 .5", x: "M0 0L.5 .5M0 .5L.5 0", ".": "M.2 .25h.1" };
  patterns.push(svgElement("pattern", { id, width: 0.5, height: 0.5, patternUnits: "userSpaceOnUse" },
    svgElement("rect", { width: 0.5, height: 0.5, fill }), line(marks[hatch[0]])));
  return `url(#${id})`;
}
