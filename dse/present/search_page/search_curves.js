// The curve of the hypervolume, and how much each choice mattered; both only where the run has them.

const IMPORTANT_CHOICES = 14;

class SearchCurves {
  constructor(run) {
    this.run = run;
    this.objective = null;
  }

  draw() {
    this.drawHypervolume();
    this.drawImportance();
  }

  drawHypervolume() {
    const { curve, evaluations, note } = this.run.convergence;
    document.getElementById("hypervolume-section").hidden = curve.length < 2;
    if (curve.length < 2) return;
    document.getElementById("hypervolume-note").textContent = `${note}. A curve that still rises at its end says that a larger budget would help.`;
    drawChart(document.getElementById("hypervolume"), () => [[{
      type: "scatter", mode: "lines", x: curve.map(([count]) => count), y: curve.map(([, volume]) => volume),
      line: { shape: "hv", color: colour("front"), width: 2 }, fill: "tozeroy", hovertemplate: "after %{x}: %{y:.4f}<extra></extra>",
    }], { xaxis: { title: { text: evaluations }, rangemode: "tozero" }, yaxis: { title: { text: "hypervolume of the front" }, range: [0, 1.04] } }]);
  }

  drawImportance() {
    const { importance } = this.run, names = Object.keys(importance ?? {});
    document.getElementById("importance-section").hidden = !names.length;
    if (!names.length) return;
    if (!names.includes(this.objective)) [this.objective] = names;
    const label = name => this.run.columns.find(column => column.name === name).label;
    document.getElementById("importance-choices").replaceChildren(
      choiceList("objective", names.map(name => [name, label(name)]), this.objective, name => { this.objective = name; this.drawImportance(); }, { id: "importance-objective" }),
      element("span", { class: "soft" }, importance[this.objective].length > IMPORTANT_CHOICES ? `the first ${IMPORTANT_CHOICES} choices` : ""));
    const shares = importance[this.objective].slice(0, IMPORTANT_CHOICES).reverse();
    drawChart(document.getElementById("importance"), () => [[{
      type: "bar", orientation: "h", x: shares.map(([, share]) => share), y: shares.map(([choice]) => plainLabel(choice)),
      marker: { color: colour("front") }, hovertemplate: "%{y}: %{x:.2f}<extra></extra>",
    }], { xaxis: { title: { text: "share of variance of ranks" }, range: [0, 1] }, yaxis: { type: "category" }, margin: { l: 20, r: 16, t: 10, b: 44 } }]);
  }
}
