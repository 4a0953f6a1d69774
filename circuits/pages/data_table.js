// A table of many rows: sorted by any column, filtered by column and by words, columns hidden, saved as CSV.
//
// Only the rows in view are elements: their height is fixed, and two spacer rows stand for those above and below.
// Invariant: `listed` holds the rows that pass the filters, sorted; `first` .. `last` of them are drawn.

const ROW_PIXELS = 29, SPARE_ROWS = 12;
const FEW_ROWS = 12;  // so many need no filters below the headings

/** Whether a cell passes the text of a filter: "<5", ">= 5", "1..2", "=0" of numbers; words of text. */
function passesFilter(text, value, shown) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return true;
  const comparison = /^(<=|>=|<|>|=|≤|≥)\s*([-+.\de]+)$/.exec(wanted), range = /^([-+.\de]+)\s*\.\.\s*([-+.\de]+)$/.exec(wanted);
  if (comparison && typeof value === "number") {
    const limit = Number(comparison[2]);
    return { "<": value < limit, ">": value > limit, "=": value === limit, "<=": value <= limit, "≤": value <= limit, ">=": value >= limit, "≥": value >= limit }[comparison[1]];
  }
  if (comparison || range) return range !== null && typeof value === "number" && value >= Number(range[1]) && value <= Number(range[2]);
  return shown.toLowerCase().includes(wanted);
}

/** A CSV field; text that a spreadsheet would run as a formula gets an apostrophe in front, as in `csv_field`. */
function csvField(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r\n]/.test(text) && !/^[-+.\deE\s]+$/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

class DataTable {
  /**
   * `columns`: {key, heading, title, numeric, long, text(row), value(row), fields: [[header, row => value]]}, the most
   * important first; `shown`: keys of the columns at first (null: as many as fit). `name`: of the CSV file.
   * `rowClass(row)`, `open(row)` and `changed()`, after the filters: optional.
   */
  constructor(node, { columns, rows, name, label, shown = null, rowClass = () => "", open = null, changed = () => {}, tools = [] }) {
    Object.assign(this, { node, columns, rows, name, rowClass, open, changed });
    this.shown = shown === null ? null : new Set(shown);
    this.filters = new Map();
    this.words = "";
    this.extra = () => true;
    this.sortKey = null;
    this.descending = false;
    this.count = element("span", { class: "soft", role: "status", "aria-live": "polite" });
    const search = element("input", { type: "search", placeholder: "Search all columns", "aria-label": `Search ${label}`, oninput: whenQuiet(() => { this.words = search.value; this.list(); }) });
    this.menu = element("div");
    this.head = element("thead");
    this.body = element("tbody", { onkeydown: event => this.moved(event) });
    this.frame = element("div", { class: "scroll", tabindex: -1, onscroll: () => this.draw() },
      element("table", { "aria-label": label }, this.head, this.body));
    node.replaceChildren(
      element("div", { class: "bar" }, search, this.count, tools,
        element("details", { class: "menu" }, element("summary", {}, "Columns"), this.menu),
        element("button", { type: "button", onclick: () => saveFile(`${this.name}.csv`, this.csv(), "text/csv") }, "Save as CSV"),
        element("button", { type: "button", onclick: () => this.reset(search) }, "Clear filters")),
      this.frame);
    document.addEventListener("click", event => {
      const details = this.menu.parentElement;
      if (details.open && !details.contains(event.target)) details.open = false;
    });
    document.addEventListener("keydown", event => { if (event.key === "Escape") this.menu.parentElement.open = false; });
    new ResizeObserver(whenQuiet(() => { if (this.shown === null) this.drawHead(); this.draw(true); })).observe(this.frame);
    this.drawMenu();
    this.drawHead();
    this.list();
  }

  reset(search) {
    this.filters.clear();
    this.words = search.value = "";
    this.drawHead();
    this.list();
  }

  /** The columns to show: the reader's choice, or the first that fit. */
  visible() {
    if (this.shown !== null) return this.columns.filter(column => this.shown.has(column.key));
    let room = (this.frame.clientWidth || innerWidth) - 4;
    const fitting = [];
    for (const column of this.columns) {
      room -= this.width(column);
      if (fitting.length > 1 && room < 0) break;
      fitting.push(column);
    }
    return fitting;
  }

  /** Pixels that a column needs, from its heading and its longest cell. */
  width(column) {
    if (column.pixels === undefined) {
      const longest = Math.max(...column.heading.split("\n").map(line => line.length + 2), ...this.rows.slice(0, 200).map(row => column.text(row).length));
      const wanted = Math.min(longest, column.long ? 30 : 60) * 7.4 + 20;
      column.pixels = column === this.columns[0] ? Math.min(256, innerWidth * 0.32, wanted) : Math.max(84, wanted);
    }
    return column.pixels;
  }

  setRows(rows) {
    this.rows = rows;
    this.list();
  }

  /** Lists the rows that pass all filters, and draws them. */
  list() {
    const words = this.words.toLowerCase().split(/\s+/).filter(Boolean);
    const filters = this.columns.filter(column => this.filters.get(column.key));
    this.passing = this.rows.filter(row =>
      filters.every(column => passesFilter(this.filters.get(column.key), column.value(row), column.text(row)))
      && words.every(word => this.columns.some(column => column.text(row).toLowerCase().includes(word))));
    this.changed();
    this.narrow();
  }

  /** Lists those of the passing rows that `extra` lets through: what is brushed elsewhere. */
  narrow() {
    this.listed = this.passing.filter(row => this.extra(row));
    const column = this.columns.find(candidate => candidate.key === this.sortKey);
    if (column) {
      const sign = this.descending ? -1 : 1;
      const missing = value => value === null || value === undefined || value === "";
      this.listed.sort((a, b) => {
        const x = column.value(a), y = column.value(b);
        if (missing(x) || missing(y)) return missing(x) - missing(y);  // what was not measured comes last
        return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true }));
      });
    }
    this.count.textContent = this.listed.length === this.rows.length ? `${this.rows.length} rows` : `${this.listed.length} of ${this.rows.length} rows`;
    this.draw(true);
  }

  sortBy(key, descending) {
    this.sortKey = key;
    this.descending = descending;
    this.markSort();
    this.narrow();
  }

  markSort() {
    for (const head of this.head.querySelectorAll("tr.names th")) {
      if (head.dataset.key === this.sortKey) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  drawMenu() {
    const shown = new Set(this.visible().map(column => column.key));
    this.menu.replaceChildren(...this.columns.slice(1).map(column => checkBox(column.title, shown.has(column.key), on => {
      this.shown ??= new Set(this.visible().map(entry => entry.key));
      if (on) this.shown.add(column.key); else this.shown.delete(column.key);
      this.drawHead();
      this.draw(true);
    }, { "data-key": column.key })));
  }

  drawHead() {
    const visible = this.visible();
    const kind = column => column.numeric ? null : "text";
    this.head.replaceChildren(
      element("tr", { class: "names" }, visible.map(column => element("th", { scope: "col", class: kind(column), "data-key": column.key },
        element("button", { type: "button", class: "plain", title: `${column.title}: sort`, onclick: () => this.sortBy(column.key, this.sortKey === column.key && !this.descending) }, column.heading)))),
      this.rows.length <= FEW_ROWS ? "" : element("tr", {}, visible.map(column => {
        const box = element("input", { type: "search", value: this.filters.get(column.key) ?? "", placeholder: column.numeric ? "<, >, a..b" : "contains", "aria-label": `Filter ${column.title}`,
          oninput: whenQuiet(() => { this.filters.set(column.key, box.value); this.list(); }) });
        return element("th", { class: kind(column) }, box);
      })));
    this.markSort();
    if (this.shown === null) this.drawMenu();
  }

  /** Draws the rows in view; `always`: even where the same rows are drawn already. */
  draw(always = false) {
    const total = this.listed.length, visible = this.visible();
    const wraps = visible.some(column => column.long);
    const from = wraps ? 0 : Math.max(0, Math.floor(this.frame.scrollTop / ROW_PIXELS) - SPARE_ROWS);
    const height = this.frame.clientHeight || 600;
    // Rows of text that wraps have no fixed height: then a first part is drawn, and more at its end.
    const to = wraps ? Math.min(total, Math.max(60, Math.ceil((this.frame.scrollTop + height) / ROW_PIXELS) + 60)) : Math.min(total, from + Math.ceil(height / ROW_PIXELS) + 2 * SPARE_ROWS);
    if (!always && from === this.first && to === this.last) return;
    [this.first, this.last] = [from, to];
    const focused = this.body.contains(document.activeElement) ? Number(document.activeElement.closest("tr")?.dataset.row) : -1;
    const spacer = rows => rows > 0 && !wraps ? element("tr", { class: "spacer", "aria-hidden": "true" }, element("td", { colspan: visible.length, style: `height:${rows * ROW_PIXELS}px` })) : null;
    const rows = this.listed.slice(from, to).map((row, k) => element("tr", { class: this.rowClass(row), "data-row": from + k, style: wraps ? null : `height:${ROW_PIXELS}px` },
      visible.map((column, place) => element("td", { class: column.numeric ? null : column.long ? "text long" : "text", title: place ? null : column.text(row) },
        place || !this.open ? column.text(row) : element("button", { type: "button", class: "link", onclick: () => this.open(row) }, column.text(row))))));
    this.body.replaceChildren(...[spacer(from), ...rows, spacer(total - to)].filter(Boolean));
    if (focused >= 0) this.focusRow(focused, false);
  }

  /** Up, down, Home and End move from name to name. */
  moved(event) {
    const row = Number(event.target.closest("tr")?.dataset.row);
    const target = { ArrowDown: row + 1, ArrowUp: row - 1, Home: 0, End: this.listed.length - 1, PageDown: row + 15, PageUp: row - 15 }[event.key];
    if (target === undefined || Number.isNaN(row)) return;
    event.preventDefault();
    this.focusRow(Math.max(0, Math.min(this.listed.length - 1, target)), true);
  }

  focusRow(row, scroll) {
    if (scroll && (row < this.first + 2 || row >= this.last - SPARE_ROWS)) {
      this.frame.scrollTop = row * ROW_PIXELS - this.frame.clientHeight / 2;
      this.draw();
    }
    const button = this.body.querySelector(`tr[data-row="${row}"] button`);
    if (button) button.focus({ preventScroll: !scroll });
  }

  csv() {
    const fields = this.columns.flatMap(column => column.fields);
    return [fields.map(([header]) => csvField(header)), ...this.listed.map(row => fields.map(([, value]) => csvField(value(row))))].map(line => line.join(",")).join("\n") + "\n";
  }
}
