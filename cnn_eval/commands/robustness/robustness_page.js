// The page of an attack, of margins or of an audit.

const SERIES_COLOURS = ["#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#56b4e9", "#949494"];
const SERIES_SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "x", "cross", "star"];

function fillPairs(id, entries) {
  document.getElementById(id).replaceChildren(...Object.entries(entries).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, name === "command" ? element("code", {}, value) : value)]));
}

function verdictBox({ subject, sentence, reasons, good }) {
  return element("div", { class: "verdict" },
    element("strong", {}, subject), " ", element("span", { class: good === true ? "good" : good === false ? "bad" : null }, sentence),
    reasons.length ? element("ul", {}, reasons.map(reason => element("li", {}, reason))) : null);
}

function drawTable({ name, caption, columns, rows }) {
  const node = element("div");
  document.getElementById("tables").append(element("section", {}, element("h2", {}, caption), node));
  const cell = (row, k) => Array.isArray(row[k]) ? row[k] : [row[k], row[k]];
  const numeric = k => rows.length > 0 && rows.some(row => Array.isArray(row[k]));
  const long = k => rows.some(row => String(cell(row, k)[0]).length > 60);
  new DataTable(node, {
    name, label: caption, rows,
    // On a narrow screen the first columns; text that wraps is scrolled instead.
    shown: innerWidth < 700 && !columns.some((_, k) => long(k)) ? null : columns.map((_, k) => String(k)),
    columns: columns.map((heading, k) => ({
      key: String(k), heading, title: heading.replace(/\n/g, " "), numeric: numeric(k), long: long(k),
      text: row => cell(row, k)[0], value: row => cell(row, k)[1], fields: [[heading.replace(/\n/g, " "), row => numeric(k) ? cell(row, k)[1] ?? cell(row, k)[0] : cell(row, k)[0]]],
    })),
  });
}

function drawCurves(chart) {
  // Bars lie, one below the other, so that their names have room.
  const bars = chart.kind === "bars", count = bars ? chart.series[0].x.length : 0;
  const node = element("div", { class: bars ? "chart" : "chart low", style: bars ? `height:${130 + 40 * count}px` : null, role: "img", "aria-label": `${chart.title}: ${chart.y} over ${chart.x}` });
  document.getElementById("curves").append(element("div", {}, element("h3", {}, chart.title), node));
  const traces = () => chart.series.map((series, k) => {
    const hue = series.dashed ? colour("ink") : SERIES_COLOURS[k % SERIES_COLOURS.length];
    const error = series.low.length ? {
      type: "data", symmetric: false, thickness: 1, width: 3, color: hue,
      array: series.y.map((y, n) => y === null || series.high[n] === null ? 0 : Math.max(0, series.high[n] - y)),
      arrayminus: series.y.map((y, n) => y === null || series.low[n] === null ? 0 : Math.max(0, y - series.low[n])),
    } : undefined;
    if (bars) {
      return { type: "bar", orientation: "h", name: plainLabel(series.name), y: series.x.map(plainLabel), x: series.y, error_x: error, marker: { color: hue } };
    }
    const common = { name: plainLabel(series.name), x: series.x.map(x => typeof x === "string" ? plainLabel(x) : x), y: series.y, error_y: error };
    return {
      ...common, type: "scatter", mode: chart.kind === "steps" ? "lines" : "lines+markers", marker: { color: hue, symbol: SERIES_SYMBOLS[k % SERIES_SYMBOLS.length], size: 7 },
      line: { color: hue, dash: series.dashed ? "dash" : "solid", width: 1.6, shape: chart.kind === "steps" ? "hv" : "linear" },
    };
  });
  const named = chart.series.some(series => series.x.some(x => typeof x === "string")) ? "category" : undefined;
  const axes = bars
    ? { xaxis: { title: { text: plainLabel(chart.y) }, range: [0, 104] }, yaxis: { type: "category", autorange: "reversed", tickfont: { size: 11 } }, margin: { l: 20, r: 16, t: 40, b: 50 } }
    : { xaxis: { title: { text: plainLabel(chart.x) }, type: named }, yaxis: { title: { text: plainLabel(chart.y) }, range: [-2, 104] } };
  drawChart(node, () => [traces(), {
    ...axes, barmode: "group", hovermode: "closest", legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
  }]);
}

function pictureFigure({ clean, adversarial, difference, scale, classes, caption }) {
  const image = (address, words, label) => element("div", {}, element("img", { src: address, alt: `${label}: ${classes}` }), words);
  return element("figure", { class: "picture" },
    element("div", { class: "row" }, image(clean, "clean", "clean image"), image(adversarial, "adversarial", "adversarial image"), image(difference, `difference \u00d7 ${scale}`, "difference")),
    element("figcaption", {}, element("strong", {}, classes), element("br"), caption));
}

fillPairs("question", pageData.question);
document.getElementById("verdicts").replaceChildren(...pageData.verdicts.map(verdictBox));
pageData.tables.forEach(drawTable);
document.getElementById("curves-section").hidden = !pageData.curves.length;
pageData.curves.forEach(drawCurves);
document.getElementById("pictures-section").hidden = !pageData.pictures.length;
document.getElementById("pictures").replaceChildren(...pageData.pictures.map(pictureFigure));
document.getElementById("notes").replaceChildren(...pageData.notes.map(note => element("li", {}, note)));
fillPairs("provenance", pageData.provenance);
