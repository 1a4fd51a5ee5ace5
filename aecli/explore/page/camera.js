// What part of the map is seen: places of the map to pixels of the screen, and back.

const MARGIN = 0.06;

class Camera {
  constructor(points) {
    this.points = points;
    this.width = this.height = 1;
    this.turn = [0.6, -0.4]; // Angles of a map of three numbers.
    this.middle = points.low.map((low, i) => (low + points.high[i]) / 2);
    this.spans = points.low.map((low, i) => points.high[i] - low || 1);
    this.moved = false;
    this.reset();
  }

  get flat() {
    return this.points.size === 2;
  }

  resize(width, height) {
    const before = this.fit();
    [this.width, this.height] = [width, height];
    this.scale *= this.fit() / before;
    if (!this.moved) this.reset();
  }

  // Pixels for a unit of the map where all of it is seen.
  fit() {
    const room = 1 - 2 * MARGIN;
    if (this.flat) return Math.min((room * this.width) / this.spans[0], (room * this.height) / this.spans[1]);
    return (room * Math.min(this.width, this.height)) / Math.hypot(...this.spans);
  }

  reset() {
    [this.x, this.y] = this.flat ? this.middle : [0, 0];
    this.scale = this.fit();
    this.moved = false;
  }

  get zoom() {
    return this.scale / this.fit();
  }

  // The two rows of the matrix that turns a place of three numbers.
  rotation() {
    const [a, b] = this.turn;
    const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
    return [[ca, 0, sa], [sa * sb, cb, -ca * sb]];
  }

  // A place of the map as one on the plane that is seen.
  flatten(place) {
    if (this.flat) return place;
    const centred = [0, 1, 2].map((i) => place[i] - this.middle[i]);
    return this.rotation().map((row) => row.reduce((sum, value, i) => sum + value * centred[i], 0));
  }

  toScreen(place) {
    const [x, y] = this.flatten(place);
    return [(x - this.x) * this.scale + this.width / 2, this.height / 2 - (y - this.y) * this.scale];
  }

  toPlane(x, y) {
    return [this.x + (x - this.width / 2) / this.scale, this.y - (y - this.height / 2) / this.scale];
  }

  // The edges of what is seen: left, bottom, right, top.
  box() {
    const [left, top] = this.toPlane(0, 0);
    const [right, bottom] = this.toPlane(this.width, this.height);
    return [left, bottom, right, top];
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y += dy / this.scale;
    this.moved = true;
  }

  rotate(dx, dy) {
    this.turn = [this.turn[0] + dx * 0.008, Math.max(-1.57, Math.min(1.57, this.turn[1] + dy * 0.008))];
  }

  zoomAt(factor, x, y) {
    const [px, py] = this.toPlane(x, y);
    const fit = this.fit();
    this.scale = Math.min(fit * 4000, Math.max(fit * 0.5, this.scale * factor));
    const [qx, qy] = this.toPlane(x, y);
    this.x += px - qx;
    this.y += py - qy;
    this.moved = true;
  }

  center(place) {
    [this.x, this.y] = this.flatten(place);
    this.moved = true;
  }

  show({ x, y, zoom, turn }) {
    if (![x, y, zoom].every(Number.isFinite)) return;
    [this.x, this.y, this.scale, this.moved] = [x, y, this.fit() * zoom, true];
    if (turn && turn.every(Number.isFinite)) this.turn = turn;
  }
}
