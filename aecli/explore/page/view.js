// Draw the map: dots or small images, what is pointed at, and what is being drawn over it.

const NAMES_UP_TO = 60; // More names of classes would cover the map.
const MOST_PIXEL_RATIO = 2;
// While a map of many dots moves, and frames take longer than this, only some dots are drawn.
const SLOW_FRAME_MILLISECONDS = 55;
const MANY_DOTS = 50_000;
const REST_MILLISECONDS = 160;

class View {
  constructor(app) {
    this.app = app;
    this.map = document.getElementById("map");
    this.dots = makeDots(document.getElementById("dots"), app.points, app.drawnAs);
    this.over = document.getElementById("over").getContext("2d");
    this.current = -1; // The row that is pointed at.
    this.marks = []; // Shapes on top: {kind, points}.
    this.placed = null; // The place of an image of the user's, as many numbers as positions have.
    this.frames = 0;
    this.drawing = false;
    [this.step, this.movedAt, this.movedFrame] = [1, 0, 0];
    this.names = app.points.size === 2 ? placeNames(app) : [];
    new ResizeObserver(() => this.resize()).observe(this.map);
    this.resize();
  }

  resize() {
    const { width, height } = this.map.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    this.ratio = Math.min(MOST_PIXEL_RATIO, window.devicePixelRatio || 1);
    for (const canvas of this.map.querySelectorAll("canvas")) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.app.camera.resize(width, height);
    this.redraw();
  }

  recolor() {
    this.app.colors.paint(this.app.selection.size ? this.app.selection.mask : null);
    this.dots.recolor(this.app.colors.rgba);
    this.redraw();
  }

  // Draw the map while it moves: every `step`-th dot, as few as it takes to be quick, then all.
  move() {
    const now = performance.now();
    const moving = now - this.movedAt < REST_MILLISECONDS * 3;
    if (moving && this.frames > this.movedFrame && this.app.points.count / this.step > MANY_DOTS) {
      const frame = (now - this.movedAt) / (this.frames - this.movedFrame);
      if (frame > SLOW_FRAME_MILLISECONDS) this.step = Math.min(64, this.step * 2);
    }
    [this.movedAt, this.movedFrame] = [now, this.frames];
    this.redraw();
    clearTimeout(this.resting);
    if (this.step > 1) {
      this.resting = setTimeout(() => {
        const { step } = this;
        this.step = 1;
        this.draw();
        // The next move begins with what was quick enough.
        this.step = step;
      }, REST_MILLISECONDS);
    }
  }

  redraw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.draw();
    });
  }

  draw() {
    const { app, over } = this;
    const { camera, points } = app;
    const visible = camera.flat ? points.countInBox(...camera.box(), points.count) : points.count;
    this.dots.draw(camera, dotLook(visible / this.step, camera.zoom), this.ratio, this.step);
    over.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    over.clearRect(0, 0, camera.width, camera.height);
    this.shown = app.thumbnails ? app.thumbnails.choose(points, camera) : [];
    for (const row of this.shown) this.drawThumbnail(row);
    if (!this.shown.length) this.drawNames();
    for (const mark of this.marks) this.drawMark(mark);
    if (this.current >= 0) this.drawCurrent();
    if (this.placed) this.drawPlaced();
    if (this.frames++ === 0) performance.mark("first-picture");
  }

  place(row) {
    const { positions, size } = this.app.points;
    return positions.subarray(row * size, (row + 1) * size);
  }

  drawThumbnail(row) {
    const { app, over } = this;
    const [x, y] = app.camera.toScreen(this.place(row));
    const [width, height] = app.thumbnails.size(cellSide(app.camera.zoom) - 6);
    const [left, top] = [x - width / 2, y - height / 2];
    const faint = app.selection.size && !app.selection.mask[row];
    over.globalAlpha = faint ? 0.25 : 1;
    over.imageSmoothingEnabled = width < app.thumbnails.fact.width;
    over.fillStyle = app.colors.css(row);
    over.fillRect(left - 2, top - 2, width + 4, height + 4);
    app.thumbnails.draw(over, row, left, top, width, height);
    over.globalAlpha = 1;
  }

  drawNames() {
    const { over, app } = this;
    const style = getComputedStyle(document.documentElement);
    over.font = "600 14px system-ui, sans-serif";
    over.textAlign = "center";
    over.textBaseline = "middle";
    over.lineJoin = "round";
    const taken = [];
    for (const { name, x, y } of this.names) {
      const [sx, sy] = app.camera.toScreen([x, y]);
      const half = over.measureText(name).width / 2 + 3;
      const box = [sx - half, sy - 9, sx + half, sy + 9];
      if (taken.some((t) => box[0] < t[2] && box[2] > t[0] && box[1] < t[3] && box[3] > t[1])) continue;
      taken.push(box);
      over.strokeStyle = style.getPropertyValue("--ground");
      over.lineWidth = 4;
      over.strokeText(name, sx, sy);
      over.fillStyle = style.getPropertyValue("--text");
      over.fillText(name, sx, sy);
    }
  }

  drawCurrent() {
    const { over, app } = this;
    const [x, y] = app.camera.toScreen(this.place(this.current));
    const isImage = this.shown.includes(this.current);
    const reach = isImage ? cellSide(app.camera.zoom) / 2 + 2 : 8;
    for (const [width, color] of [[4, "--ground"], [2, "--text"]]) {
      over.lineWidth = width;
      over.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue(color);
      over.beginPath();
      if (isImage) over.rect(x - reach, y - reach, 2 * reach, 2 * reach);
      else over.arc(x, y, reach, 0, 2 * Math.PI);
      over.stroke();
    }
  }

  drawPlaced() {
    const { over, app } = this;
    const [x, y] = app.camera.toScreen(this.placed);
    for (const [width, color] of [[7, "#ffffff"], [3, "#d5007f"]]) {
      over.lineWidth = width;
      over.strokeStyle = color;
      over.beginPath();
      over.moveTo(x - 13, y);
      over.lineTo(x + 13, y);
      over.moveTo(x, y - 13);
      over.lineTo(x, y + 13);
      over.stroke();
    }
  }

  drawMark({ kind, points }) {
    const { over, app } = this;
    over.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    over.lineWidth = 2;
    over.setLineDash(kind === "line" ? [] : [6, 4]);
    over.beginPath();
    points.forEach((point, i) => {
      const [x, y] = app.camera.toScreen(point);
      if (i === 0) over.moveTo(x, y);
      else over.lineTo(x, y);
    });
    if (kind !== "line") over.closePath();
    over.stroke();
    over.setLineDash([]);
  }
}

// Where the name of each class stands: at the member in whose cell most members are.
function placeNames({ facts, labels, points }) {
  const { classes } = facts;
  if (!labels || classes.length > NAMES_UP_TO) return [];
  const side = 24;
  const counts = new Map();
  for (let row = 0; row < points.count; row++) {
    if (labels[row] === UNKNOWN_LEVEL) continue;
    const [cx, cy] = [0, 1].map((i) => {
      const share = (points.positions[row * 2 + i] - points.low[i]) / (points.high[i] - points.low[i] || 1);
      return Math.min(side - 1, Math.floor(share * side));
    });
    const key = (labels[row] * side + cy) * side + cx;
    const cell = counts.get(key) ?? { n: 0, x: 0, y: 0 };
    cell.n++;
    cell.x += points.x(row);
    cell.y += points.y(row);
    counts.set(key, cell);
  }
  const best = classes.map(() => null);
  for (const [key, cell] of counts) {
    const label = Math.floor(key / side / side);
    if (!best[label] || cell.n > best[label].n) best[label] = cell;
  }
  return best
    .map((cell, i) => cell && { name: shorten(classes[i].name, 28), x: cell.x / cell.n, y: cell.y / cell.n, n: cell.n })
    .filter(Boolean)
    .sort((a, b) => b.n - a.n);
}

// A long text without its middle.
function shorten(text, most) {
  const line = text.replace(/\s+/g, " ");
  if (line.length <= most) return line;
  const head = Math.floor((most - 1) / 2);
  return `${line.slice(0, head)}…${line.slice(line.length - (most - 1 - head))}`;
}
