// What is under the cursor: an image and what is known of it, or what the decoder makes of a place.

const RADIUS = 9; // How near a dot must be, in CSS pixels.

class Card {
  constructor(app) {
    this.app = app;
    this.element = document.getElementById("card");
    this.image = document.getElementById("card-image");
    this.decoded = document.getElementById("card-decoded");
    this.text = document.getElementById("card-text");
    this.live = document.getElementById("live");
    this.asked = 0;
    this.pinned = false;
  }

  hide() {
    this.asked++;
    this.pinned = false;
    this.element.hidden = true;
    if (this.app.view.current >= 0) {
      this.app.view.current = -1;
      this.app.view.redraw();
    }
  }

  // The row of the image or the dot at a place of the screen, or -1.
  rowAt(x, y) {
    const { app } = this;
    const { camera, points, view } = app;
    let best = -1;
    const half = cellSide(camera.zoom) / 2;
    for (const row of view.shown ?? []) {
      const [sx, sy] = camera.toScreen(view.place(row));
      if (Math.abs(sx - x) <= half && Math.abs(sy - y) <= half) best = row; // The topmost.
    }
    if (best >= 0) return best;
    if (camera.flat) {
      const [px, py] = camera.toPlane(x, y);
      return points.nearest(px, py, RADIUS / camera.scale);
    }
    let least = RADIUS ** 2;
    for (let row = 0; row < points.count; row++) {
      const [sx, sy] = camera.toScreen(view.place(row));
      const distance = (sx - x) ** 2 + (sy - y) ** 2;
      if (distance < least) [best, least] = [row, distance];
    }
    return best;
  }

  // Show what is at a place of the screen.
  point(x, y) {
    const row = this.rowAt(x, y);
    if (row >= 0) this.showRow(row, x, y);
    else this.showGround(x, y);
  }

  async showRow(row, x, y, { speak = false } = {}) {
    const { app } = this;
    const asked = ++this.asked;
    if (app.view.current !== row) {
      app.view.current = row;
      app.view.redraw();
    }
    const text = describeRow(app, row);
    this.text.textContent = text;
    if (speak) this.live.textContent = text.replaceAll("\n", ", ");
    this.image.hidden = !app.thumbnails?.has(row);
    if (!this.image.hidden) {
      const canvas = this.image.firstElementChild;
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, canvas.width, canvas.height);
      const [w, h] = app.thumbnails.size(canvas.width);
      context.imageSmoothingEnabled = w < app.thumbnails.fact.width;
      app.thumbnails.draw(context, row, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
    }
    const code = app.codeOf(row);
    this.decoded.hidden = !(app.network && code);
    this.put(x, y);
    if (!this.decoded.hidden) {
      const pixels = await app.network.decode(code);
      if (asked === this.asked) drawPixels(this.decoded.firstElementChild, pixels, app.image);
    }
  }

  async showGround(x, y) {
    const { app } = this;
    const asked = ++this.asked;
    if (app.view.current >= 0) {
      app.view.current = -1;
      app.view.redraw();
    }
    const code = app.codeAt(...app.camera.toPlane(x, y));
    if (!code || !app.network) {
      this.element.hidden = true;
      return;
    }
    const pixels = await app.network.decode(code);
    if (asked !== this.asked) return;
    this.image.hidden = true;
    this.decoded.hidden = false;
    this.text.textContent = `decoded from ${[...code].map(threeDigits).join(", ")}`;
    drawPixels(this.decoded.firstElementChild, pixels, app.image);
    this.put(x, y);
  }

  // Beside a place of the screen, on the side where there is room.
  put(x, y) {
    const { element } = this;
    element.hidden = false;
    const { width, height } = this.app.camera;
    const { offsetWidth: w, offsetHeight: h } = element;
    const left = x + 22 + w < width ? x + 22 : x - 22 - w;
    element.style.left = `${Math.max(4, Math.min(width - w - 4, left))}px`;
    element.style.top = `${Math.max(4, Math.min(height - h - 4, y - h / 2))}px`;
  }
}

function threeDigits(value) {
  return Number.isNaN(value) ? "unknown" : String(Number(value.toPrecision(3)));
}

function nameOf(app, row) {
  return app.names ? app.names[row] : `image ${row}`;
}

function labelOf(app, row) {
  if (!app.labels) return null;
  const label = app.labels[row];
  return label === UNKNOWN_LEVEL ? "unknown" : app.facts.classes[label].name;
}

// What is known of an image, a line for each thing.
function describeRow(app, row) {
  const lines = [app.names ? `${nameOf(app, row)} (row ${row})` : nameOf(app, row)];
  const label = labelOf(app, row);
  if (label !== null) lines.push(`class: ${label}`);
  for (const [name, numbers] of Object.entries(app.values)) {
    lines.push(`${name}: ${threeDigits(levelValue(numbers, row, 0))}`);
  }
  if (app.selection.mask[row]) lines.push("selected");
  return lines.join("\n");
}
