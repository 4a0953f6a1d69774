// An opened design: all of its scores, what it is, its drawing and its TOML, in a dialog that the keyboard can leave.

class OpenedDesign {
  /** `listed()`: the designs that the table lists, for the buttons to the next and the last one. */
  constructor(run, { listed }) {
    Object.assign(this, { run, listed });
    this.dialog = document.getElementById("design");
    this.dialog.addEventListener("click", event => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("close", () => {
      if (location.hash.startsWith("#design=")) history.replaceState(null, "", location.pathname + location.search);
    });
  }

  toml(design) {
    return design.toml.map(line => this.run.lines[line]).join("\n");
  }

  async open(design) {
    const { columns } = this.run, listed = this.listed(), place = listed.indexOf(design);
    const step = (label, next) => element("button", { type: "button", disabled: next === undefined, onclick: () => this.open(next) }, label);
    const copy = element("button", { type: "button", id: "copy-toml", onclick: () => copyText(this.toml(design), copy) }, "Copy TOML");
    const file = this.run.parts[design.parts[0][1]].file;
    const drawings = element("div", { id: "design-drawings" });
    this.dialog.replaceChildren(...[
      element("div", { class: "bar" },
        step("Previous", listed[place - 1]), step("Next", place < 0 ? listed[0] : listed[place + 1]), copy,
        element("button", { type: "button", onclick: () => saveFile(`${file}.toml`, this.toml(design), "text/plain") }, "Save TOML"),
        element("button", { type: "button", id: "close-design", onclick: () => this.dialog.close() }, "Close")),
      element("h2", { id: "design-name" }, design.name),
      element("p", { class: "soft" }, `${design.kind === "reference" ? "reference" : KINDS[design.kind].label}. ${design.structure}`),
      design.reason ? element("p", {}, `Skipped: ${design.reason}`) : null,
      drawings,
      element("h3", {}, "Scores"),
      element("dl", { id: "design-scores" }, columns.flatMap((column, k) => design.values[k] === null && design.texts[k] === "-" ? [] : [element("dt", {}, column.label), element("dd", {}, scoreText(design, k, columns))])),
      element("h3", {}, "The design as TOML"),
      element("p", { class: "soft" }, "Save it, then: ", element("code", {}, `python -m circuits show ${file}.toml`), " or ", element("code", {}, `python -m circuits export ${file}.toml --format verilog -o ${file}.v`)),
      element("pre", { id: "design-toml", tabindex: 0 }, this.toml(design)),
    ].filter(Boolean));
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    history.replaceState(null, "", `#design=${encodeURIComponent(design.digest)}`);
    this.drawn = design;
    // Layers may share a multiplier, which is drawn once.
    const layersOf = new Map();
    for (const [layer, part] of design.parts) layersOf.set(part, [...(layersOf.get(part) ?? []), layer]);
    for (const [part, layers] of layersOf) {
      const figure = await this.figure(part, design);
      if (this.drawn !== design) return;
      drawings.append(...(layers[0] ? [element("h3", {}, layers.join(", "))] : []), figure);
    }
  }

  async figure(part, design) {
    const { drawing, file, label } = this.run.parts[part];
    const told = text => element("p", { class: "soft" }, text);
    const data = drawing !== null ? JSON.parse(await unpackedWords(drawing)) : this.run.live ? await (await fetch(`drawing/${part}`)).json() : null;
    if (data === null) return told(`Not drawn here, to keep this page small: python -m circuits draw ${file}.toml -o ${file}.svg`);
    return data.refused ? told(data.refused) : drawnFigure(data, label ?? design.name);
  }
}
