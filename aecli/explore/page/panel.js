// The panel beside the map: search, colours, the selection, and words.

const MOST_FOUND = 50;
const MOST_SHOWN = 80;
const MOST_ROWS_OF_TABLE = 500;

// An element with a text; names of files and classes go only this way into the page.
function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

class Panel {
  constructor(app) {
    this.app = app;
    this.prepareSearch();
    this.prepareColors();
    this.prepareSelection();
    this.writeWords();
    const theme = document.getElementById("theme");
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.setTheme(dark.matches ? "dark" : "light");
    dark.addEventListener("change", () => this.setTheme(dark.matches ? "dark" : "light"));
    theme.onclick = () => this.setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  }

  setTheme(name) {
    document.documentElement.dataset.theme = name;
    this.app.colors.theme = name;
    this.app.view.recolor();
  }

  // The rows whose name, row number or class has a text in it.
  search(text) {
    const { app } = this;
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const classes = new Set();
    app.facts.classes.forEach((one, i) => one.name.toLowerCase().includes(wanted) && classes.add(i));
    const rows = [];
    const exact = [];
    for (let row = 0; row < app.facts.count; row++) {
      const name = app.names ? app.names[row].toLowerCase() : String(row);
      if (name === wanted || String(row) === wanted) exact.push(row);
      else if (app.names && name.includes(wanted)) rows.push(row);
      else if (app.labels && classes.has(app.labels[row])) rows.push(row);
    }
    return [...exact, ...rows];
  }

  prepareSearch() {
    const { app } = this;
    const input = document.getElementById("search");
    const list = document.getElementById("found");
    const what = [app.names ? "name" : "row", ...(app.labels ? ["class"] : [])].join(" or ");
    input.placeholder = what;
    let rows = [];
    input.oninput = () => {
      rows = this.search(input.value);
      const items = rows.slice(0, MOST_FOUND).map((row) => {
        const button = element("button");
        button.append(element("span", nameOf(app, row), "name"), element("span", labelOf(app, row) ?? "", "count"));
        button.onclick = () => app.focus(row, { near: true });
        const item = element("li");
        item.append(button);
        return item;
      });
      const note = rows.length > MOST_FOUND ? [element("li", `and ${rows.length - MOST_FOUND} more`, "note")] : [];
      list.replaceChildren(...items, ...note);
      if (input.value) document.getElementById("live").textContent = `${rows.length} found`;
    };
    input.onkeydown = (event) => {
      if (event.key === "Enter" && rows.length) app.focus(rows[0], { near: true });
    };
    document.getElementById("search-select").onclick = () => app.selection.set(rows);
  }

  prepareColors() {
    const { app } = this;
    const select = document.getElementById("color-by");
    const choices = [
      ...app.labellings.map(({ name }, i) => [`label ${i}`, name]),
      ...app.facts.values.map(({ name }) => [name, name]),
    ];
    if (!choices.length) choices.push(["nothing", "one colour"]);
    select.replaceChildren(
      ...choices.map(([value, text]) => {
        const option = element("option", text);
        option.value = value;
        return option;
      }),
    );
    select.onchange = () => {
      this.colorBy(select.value);
      app.remember();
    };
    this.writeLegend();
  }

  // Colour by a choice of the list: the classes of a labelling, or numbers.
  colorBy(choice) {
    const { app } = this;
    const place = /^label (\d+)$/.exec(choice);
    if (place && app.labellings[place[1]]) {
      app.useLabels(app.labellings[place[1]]);
      this.writeLegend();
    }
    app.colors.by = place ? "label" : choice;
    app.colors.choice = choice;
    this.showColors();
    app.view.recolor();
  }

  writeLegend() {
    const { app } = this;
    const counts = app.facts.classes.map((one, i) => {
      const button = element("button");
      const swatch = element("span", undefined, "swatch");
      swatch.style.background = one.color;
      button.append(swatch, element("span", one.name, "name"), element("span", one.count.toLocaleString("en"), "count"));
      button.setAttribute("aria-pressed", "false");
      button.onclick = (event) => app.selectClass(i, event.ctrlKey || event.metaKey);
      const item = element("li");
      item.append(button);
      return item;
    });
    const known = app.facts.classes.reduce((sum, one) => sum + one.count, 0);
    if (app.labels && known < app.facts.count) {
      counts.push(element("li", `${(app.facts.count - known).toLocaleString("en")} without a class, grey`, "note"));
    }
    document.getElementById("legend").replaceChildren(...counts);
  }

  showColors() {
    const { app } = this;
    const { by } = app.colors;
    const first = document.getElementById("color-by").options[0].value;
    document.getElementById("color-by").value = app.colors.choice ?? (by === "label" ? first : by);
    const number = app.facts.values.find(({ name }) => name === by);
    document.getElementById("bar").hidden = !number;
    document.getElementById("legend").hidden = by !== "label";
    document.getElementById("color-note").textContent = number?.meaning ?? "";
    if (!number) return;
    const [low, high] = app.colors.limits(by);
    const context = document.querySelector("#bar canvas").getContext("2d");
    for (let i = 0; i < 256; i++) {
      context.fillStyle = `rgb(${app.colors.colormap.slice(3 * i, 3 * i + 3).join(",")})`;
      context.fillRect(i, 0, 1, 12);
    }
    document.getElementById("bar-low").textContent = `${threeDigits(low)} or less`;
    document.getElementById("bar-high").textContent = `${threeDigits(high)} or more`;
  }

  prepareSelection() {
    const { app } = this;
    const acts = {
      "selection-clear": () => app.selection.set([]),
      "export-csv": () => download("selection.csv", this.csv(), "text/csv"),
      "export-npy": () => download("selection.npy", toNpy(app.selection.rows), "application/octet-stream"),
    };
    for (const [id, act] of Object.entries(acts)) document.getElementById(id).onclick = act;
    document.getElementById("keep").onsubmit = (event) => {
      event.preventDefault();
      const input = document.getElementById("keep-name");
      app.selection.keep(input.value.trim() || `selection ${app.selection.kept.size + 1}`);
      input.value = "";
      this.showKept();
    };
    document.querySelector("#selection-tools details").ontoggle = () => this.showTable();
    this.showSelection();
  }

  csv() {
    const { app } = this;
    const size = app.codes?.size ?? 0;
    const header = ["row", "name", "class", ...Object.keys(app.values), ...Array.from({ length: size }, (_, i) => `code ${i + 1}`)];
    const rows = [...app.selection.rows].map((row) => [
      row,
      app.names ? app.names[row] : "",
      labelOf(app, row) ?? "",
      ...Object.values(app.values).map((numbers) => threeDigitsOrEmpty(levelValue(numbers, row, 0))),
      ...(app.codes ? levelRow(app.codes, row) : []),
    ]);
    return toCsv(header, rows);
  }

  showSelection() {
    const { app } = this;
    const { size, rows } = app.selection;
    const text = size ? `${size.toLocaleString("en")} of ${app.facts.count.toLocaleString("en")} images` : "Nothing is selected: click a class, search, or use Rectangle or Lasso.";
    document.getElementById("selection-count").textContent = text;
    document.getElementById("selection-tools").hidden = size === 0;
    document.querySelectorAll("#legend button").forEach((button, i) => {
      const whole = size > 0 && app.labels && this.classIsSelected(i);
      button.setAttribute("aria-pressed", String(Boolean(whole)));
    });
    if (!size) return;
    document.getElementById("live").textContent = `${text} selected`;
    const counts = new Map();
    if (app.labels) {
      for (const row of rows) counts.set(app.labels[row], (counts.get(app.labels[row]) ?? 0) + 1);
    }
    const sorted = [...counts].sort((a, b) => b[1] - a[1]).slice(0, MOST_FOUND);
    document.getElementById("selection-classes").replaceChildren(
      ...sorted.map(([label, count]) => {
        const name = label === UNKNOWN_LEVEL ? "without a class" : app.facts.classes[label].name;
        const item = element("li");
        item.className = "row";
        item.append(element("span", name, "name"), element("span", count.toLocaleString("en"), "count"));
        return item;
      }),
    );
    this.showImages(rows);
    this.showTable();
  }

  classIsSelected(label) {
    const { app } = this;
    let count = 0;
    for (let row = 0; row < app.facts.count; row++) if (app.labels[row] === label && app.selection.mask[row]) count++;
    return count === app.facts.classes[label].count;
  }

  showImages(rows) {
    const { app } = this;
    const canvas = document.getElementById("selection-images");
    canvas.hidden = !app.thumbnails;
    if (!app.thumbnails) return;
    const shown = [...rows].filter((row) => app.thumbnails.has(row)).slice(0, MOST_SHOWN);
    const [w, h] = app.thumbnails.size(36).map(Math.round);
    const columns = Math.max(1, Math.floor(300 / (w + 2)));
    canvas.width = columns * (w + 2);
    canvas.height = Math.ceil(shown.length / columns) * (h + 2) || 1;
    const context = canvas.getContext("2d");
    shown.forEach((row, i) =>
      app.thumbnails.draw(context, row, (i % columns) * (w + 2), Math.floor(i / columns) * (h + 2), w, h),
    );
    canvas.setAttribute("aria-label", `The first ${shown.length} of the selected images`);
  }

  showTable() {
    const { app } = this;
    const place = document.getElementById("selection-table");
    if (!place.parentElement.open) return place.replaceChildren();
    const table = element("table");
    const names = Object.keys(app.values);
    const row = (cells, kind) => {
      const line = element("tr");
      line.append(...cells.map((cell) => element(kind, cell)));
      return line;
    };
    table.append(row(["row", ...(app.names ? ["name"] : []), ...(app.labels ? ["class"] : []), ...names], "th"));
    const rows = [...app.selection.rows];
    for (const one of rows.slice(0, MOST_ROWS_OF_TABLE)) {
      const cells = [String(one), ...(app.names ? [app.names[one]] : []), ...(app.labels ? [labelOf(app, one)] : [])];
      table.append(row([...cells, ...names.map((name) => threeDigits(levelValue(app.values[name], one, 0)))], "td"));
    }
    const more = rows.length > MOST_ROWS_OF_TABLE ? [element("p", `and ${rows.length - MOST_ROWS_OF_TABLE} more; the CSV has all`, "note")] : [];
    place.replaceChildren(table, ...more);
  }

  showKept() {
    const { app } = this;
    document.getElementById("kept").replaceChildren(
      ...[...app.selection.kept].map(([name, rows]) => {
        const show = element("button", undefined, "show");
        show.append(element("span", name, "name"), element("span", rows.length.toLocaleString("en"), "count"));
        show.onclick = () => app.selection.set(rows);
        const drop = element("button", "×");
        drop.setAttribute("aria-label", `Forget ${name}`);
        drop.onclick = () => {
          app.selection.kept.delete(name);
          this.showKept();
        };
        const item = element("li");
        item.append(show, drop);
        return item;
      }),
    );
  }

  writeWords() {
    const { app } = this;
    const words = [
      ["decoded", "What the decoder makes of the numbers of an image, or of a place where there is none."],
      ...app.facts.values.map(({ name, meaning }) => [name, `For each image: ${meaning}.`]),
    ];
    document.getElementById("words").replaceChildren(
      ...words.flatMap(([word, meaning]) => [element("dt", word), element("dd", meaning)]),
    );
    document.getElementById("made-by").textContent = `Made by aecli ${app.facts.version}. Dots: ${app.view.dots.name}.`;
  }
}

function threeDigitsOrEmpty(value) {
  return Number.isNaN(value) ? "" : value;
}
