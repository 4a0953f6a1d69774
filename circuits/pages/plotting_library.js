// Plotly, unpacked when the first chart is drawn, and the look that all charts share.

let plotlyPromise = null;
const drawnCharts = new Map();

/** The plotting library; the same promise for all. */
function plotly() {
  plotlyPromise ??= unpackedText("plotting-library").then(text => {
    // As an element, not by eval: the page's policy forbids that.
    document.head.append(element("script", {}, text));
    return window.Plotly;
  });
  return plotlyPromise;
}

/** Draws or redraws a chart. `describe()` gives [traces, layout] in the colours of the moment; zoom and brush stay. */
async function drawChart(node, describe, config = {}) {
  const library = await plotly();
  const known = drawnCharts.has(node);
  drawnCharts.set(node, { describe, config });
  const [traces, layout] = describe();
  await library.react(node, traces, themed(layout), {
    responsive: true, displaylogo: false, modeBarButtonsToRemove: ["autoScale2d"], ...config,
  });
  return !known;
}

onAppearance(() => drawnCharts.forEach(({ describe, config }, node) => drawChart(node, describe, config)));

function themed(layout) {
  const ink = colour("ink"), line = colour("line"), paper = colour("paper");
  const axis = { gridcolor: line, linecolor: colour("soft"), zerolinecolor: line, tickcolor: line, automargin: true };
  const merged = {
    paper_bgcolor: paper, plot_bgcolor: paper,
    font: { family: "system-ui, sans-serif", size: 12, color: ink },
    margin: { l: 60, r: 16, t: 36, b: 52 },
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("soft"), font: { color: ink, size: 12 }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("front") },
    ...layout,
  };
  for (const name of Object.keys(merged)) {
    if (/^[xy]axis\d*$/.test(name)) merged[name] = { ...axis, ...merged[name] };
  }
  return merged;
}

/** Text for Plotly, which reads a few HTML tags in its labels: shown as it is, whatever it holds. */
function plainLabel(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
