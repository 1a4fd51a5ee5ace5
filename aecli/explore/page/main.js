// Put the parts together, keep the view in the address, and open a door for scripts.

async function start() {
  const facts = readFacts();
  const app = { facts };
  app.codes = facts.codes && readLevels(facts.codes);
  app.points = new Points(facts.places ? readLevels(facts.places) : app.codes);
  app.labels = facts.labels && readArray(facts.labels);
  // The classes of the images, and those that tables have: one of them colours the map.
  app.labellings = facts.tables.map((table) => ({ ...table, labels: table.labels && readArray(table.labels) }));
  if (app.labels) app.labellings.unshift({ name: "class", classes: facts.classes, labels: app.labels });
  app.values = Object.fromEntries(facts.values.map((fact) => [fact.name, readLevels(fact)]));
  app.image = facts.image && { ...facts.image, limits: facts.thumbnails?.lines };
  app.thumbnails = facts.thumbnails && new Thumbnails(facts.thumbnails, facts.count);
  // Between dots there are codes only where places are codes.
  app.decodesPlane = Boolean(facts.model) && !facts.projection && app.points.size === 2;
  app.codeOf = (row) => (app.codes ? levelRow(app.codes, row) : null);
  app.codeAt = (x, y) => (app.decodesPlane ? new Float32Array(app.codes.size === 1 ? [x] : [x, y]) : null);
  app.placeOf = (code) => placeOf(facts, code);
  app.camera = new Camera(app.points);
  app.colors = new Colors(facts, app.labels, app.values, readArray(facts.colormap));
  app.selection = new Selection(facts.count, () => {
    app.panel.showSelection();
    app.view.recolor();
  });
  document.getElementById("summary").textContent = summarize(app);
  app.drawnAs = new URLSearchParams(location.hash.slice(1)).get("draw");
  app.view = new View(app);
  app.card = new Card(app);
  app.line = new Line(app);
  app.network = null;
  app.moved = () => {
    app.view.move();
    app.remember();
  };
  app.remember = remember(app);
  app.focus = (row, { near = false } = {}) => focusRow(app, row, near);
  app.selectClass = (label, add = false) => {
    const rows = [];
    for (let row = 0; row < facts.count; row++) if (app.labels[row] === label) rows.push(row);
    app.selection.set(rows, { add });
  };
  app.useLabels = (labelling) => {
    app.labels = labelling.labels;
    facts.classes = labelling.classes;
    app.colors.setClasses(labelling);
    app.view.names = app.points.size === 2 ? placeNames(app) : [];
  };
  if (!app.labels && app.labellings.length) {
    app.labels = app.labellings[0].labels;
    facts.classes = app.labellings[0].classes;
    app.colors.setClasses(app.labellings[0]);
    app.colors.by = "label";
  }
  app.names = null;
  app.panel = new Panel(app);
  app.input = new Input(app);
  app.panel.showColors();
  app.view.recolor();
  // The first picture is there; the rest comes after it.
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const pixelCount = facts.image && facts.image.height * facts.image.width * facts.image.channels;
  if (facts.model) app.network = new Network(facts.model, facts.codes?.shape[1] ?? facts.projection.mean.length, pixelCount);
  if (facts.names) {
    app.names = await readTexts(facts.names);
    app.panel.prepareSearch();
  }
  app.place = new Place(app);
  if (app.thumbnails) await app.thumbnails.ready;
  recall(app);
  app.view.redraw();
  window.aecli = door(app);
  document.documentElement.dataset.ready = "yes";
}

function summarize(app) {
  const { facts } = app;
  const count = `${facts.count.toLocaleString("en")} ${facts.split === "all" ? "" : `${facts.split} `}images`;
  const parts = [count];
  if (facts.classes.length) parts.push(`${facts.classes.length} classes`);
  if (facts.thumbnails && facts.thumbnails.count < facts.count) {
    parts.push(`${facts.thumbnails.count.toLocaleString("en")} of them, evenly spread, with a picture`);
  }
  if (facts.projection) parts.push("the first two principal components of the codes; nothing is decoded between dots");
  if (!facts.model) parts.push("without a decoder");
  return parts.join(" · ");
}

// The place on the map of a code that is not among those of the page.
function placeOf(facts, code) {
  if (facts.projection) {
    const { mean, directions } = facts.projection;
    return directions.map((row) => row.reduce((sum, value, i) => sum + value * (code[i] - mean[i]), 0));
  }
  return code.length === 1 ? [code[0], 0] : [...code];
}

function focusRow(app, row, near) {
  const { camera, view } = app;
  const place = view.place(row);
  if (near && app.thumbnails && camera.flat && camera.zoom < 2 * NEAR) camera.scale = camera.fit() * 2 * NEAR;
  const [x, y] = camera.toScreen(place);
  const inside = x > 40 && y > 40 && x < camera.width - 40 && y < camera.height - 40;
  if (near || !inside) camera.center(place);
  view.current = row;
  view.redraw();
  app.card.pinned = true;
  app.card.showRow(row, ...camera.toScreen(place), { speak: true });
  app.remember();
}

// Returns a function that keeps the view in the address, a moment after the last change.
function remember(app) {
  let waiting = 0;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const { camera, view, colors } = app;
      const state = { x: camera.x, y: camera.y, zoom: camera.zoom, color: colors.choice ?? colors.by };
      if (!camera.flat) state.turn = camera.turn.map((angle) => angle.toFixed(3)).join(" ");
      if (view.current >= 0) state.row = view.current;
      if (app.drawnAs) state.draw = app.drawnAs;
      for (const name of ["x", "y", "zoom"]) state[name] = Number(state[name].toPrecision(6));
      history.replaceState(null, "", `#${new URLSearchParams(state)}`);
    }, 250);
  };
}

function recall(app) {
  const state = new URLSearchParams(location.hash.slice(1));
  const color = state.get("color");
  if (color && [...document.getElementById("color-by").options].some(({ value }) => value === color)) {
    app.panel.colorBy(color);
  }
  if (state.has("zoom")) {
    const turn = state.get("turn")?.split(" ").map(Number);
    app.camera.show({ x: Number(state.get("x")), y: Number(state.get("y")), zoom: Number(state.get("zoom")), turn });
  }
  const row = Number(state.get("row") ?? -1);
  if (Number.isInteger(row) && row >= 0 && row < app.facts.count) app.focus(row);
}

// What scripts and tests may use.
function door(app) {
  return {
    points: {
      count: app.facts.count,
      code: (row) => app.codeOf(row),
      place: (row) => Array.from(app.view.place(row)),
      name: (row) => nameOf(app, row),
      label: (row) => labelOf(app, row),
      value: (name, row) => levelValue(app.values[name], row, 0),
    },
    decode: (code) => app.network.decode(Float32Array.from(code)),
    encode: (pixels) => app.network.encode(Float32Array.from(pixels)),
    place: (pixels) => app.place.show(Float32Array.from(pixels), "the image"),
    draw: (ink) => {
      const side = Math.round(Math.sqrt(ink.length));
      const pixels = convertDrawing(Float32Array.from(ink), side, app.image, app.facts.drawing);
      return app.place.show(pixels, "the drawing");
    },
    select: (rows) => app.selection.set(rows),
    selection: () => Array.from(app.selection.rows),
    view: () => {
      const { x, y, zoom, scale, width, height } = app.camera;
      return { x, y, zoom, scale, width, height };
    },
    show: (view) => {
      app.camera.show(view);
      app.moved();
    },
    screen: (row) => app.camera.toScreen(app.view.place(row)),
    drawnWith: app.view.dots.name,
    drawnBecause: app.view.dots.reason ?? null,
    frames: () => app.view.frames,
  };
}

start();
