// Mouse, fingers and keys on the map.

const CLICK_PIXELS = 4;
const PAN_SHARE = 0.15;

class Input {
  constructor(app) {
    this.app = app;
    this.tool = null; // "rectangle", "lasso", "line", or null: move the map.
    this.pointers = new Map();
    this.drag = null;
    const { map } = app.view;
    map.addEventListener("pointerdown", (event) => this.down(event));
    map.addEventListener("pointermove", (event) => this.move(event));
    map.addEventListener("pointerup", (event) => this.up(event));
    map.addEventListener("pointercancel", (event) => this.cancel(event));
    map.addEventListener("pointerleave", () => this.pointers.size || app.card.pinned || app.card.hide());
    map.addEventListener("dblclick", (event) => this.zoom(2.5, ...this.at(event)));
    map.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    map.addEventListener("keydown", (event) => this.key(event));
    map.addEventListener("focus", () => map.matches(":focus-visible") && this.greet());
    for (const name of ["rectangle", "lasso", "line"]) {
      const button = document.getElementById(`tool-${name}`);
      button.onclick = () => this.choose(this.tool === name ? null : name);
      if (!app.camera.flat || (name === "line" && !app.decodesPlane)) button.hidden = true;
    }
    document.getElementById("zoom-in").onclick = () => this.zoom(1.6);
    document.getElementById("zoom-out").onclick = () => this.zoom(1 / 1.6);
    document.getElementById("reset").onclick = () => this.reset();
  }

  choose(name) {
    this.tool = name;
    for (const other of ["rectangle", "lasso", "line"]) {
      document.getElementById(`tool-${other}`).setAttribute("aria-pressed", String(other === name));
    }
  }

  at(event) {
    const { left, top } = this.app.view.map.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  zoom(factor, x = this.app.camera.width / 2, y = this.app.camera.height / 2) {
    this.app.camera.zoomAt(factor, x, y);
    this.app.moved();
  }

  reset() {
    this.app.camera.reset();
    this.app.moved();
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), ...this.at(event));
  }

  down(event) {
    const { app } = this;
    const { map } = app.view;
    map.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    if (this.pointers.size > 1) {
      this.drag = null;
      return;
    }
    const kind = event.shiftKey && app.decodesPlane ? "line" : this.tool;
    const [x, y] = this.at(event);
    this.drag = { kind, x, y, travelled: 0, path: [app.camera.toPlane(x, y)], add: event.ctrlKey || event.metaKey };
  }

  move(event) {
    const { app } = this;
    const [x, y] = this.at(event);
    if (this.pointers.size === 2) return this.pinch(event, x, y);
    if (!this.drag) {
      if (!app.card.pinned) app.card.point(x, y);
      return;
    }
    const { drag } = this;
    drag.travelled += Math.hypot(x - drag.x, y - drag.y);
    if (drag.kind) {
      const place = app.camera.toPlane(x, y);
      if (drag.kind === "lasso") drag.path.push(place);
      else drag.path[1] = place;
      app.view.marks = [{ kind: drag.kind, points: drag.kind === "rectangle" ? corners(drag.path) : drag.path }];
      app.view.redraw();
      if (drag.kind === "line") app.card.point(x, y);
    } else if (drag.travelled > CLICK_PIXELS) {
      app.view.map.classList.add("moving");
      app.card.hide();
      if (app.camera.flat || event.buttons === 2) app.camera.pan(x - drag.x, y - drag.y);
      else app.camera.rotate(x - drag.x, y - drag.y);
      app.moved();
    }
    [drag.x, drag.y] = [x, y];
    this.pointers.set(event.pointerId, [x, y]);
  }

  pinch(event, x, y) {
    const before = [...this.pointers.values()];
    this.pointers.set(event.pointerId, [x, y]);
    const after = [...this.pointers.values()];
    const [wide, wider] = [before, after].map(([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]));
    const [was, is] = [before, after].map(([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
    this.app.camera.pan(is[0] - was[0], is[1] - was[1]);
    if (wide > 0) this.app.camera.zoomAt(wider / wide, ...is);
    this.app.moved();
  }

  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.drag = null;
    this.app.view.map.classList.remove("moving");
  }

  up(event) {
    const { app, drag } = this;
    this.cancel(event);
    if (!drag) return;
    const [x, y] = this.at(event);
    if (drag.travelled <= CLICK_PIXELS) return this.click(x, y, drag.add);
    if (drag.kind === "line") {
      app.line.show(drag.path[0], drag.path[1]);
    } else if (drag.kind) {
      const outline = drag.kind === "rectangle" ? corners(drag.path) : drag.path;
      app.view.marks = [];
      app.selection.set(rowsInside(app.points, outline), { add: drag.add });
    }
    app.view.redraw();
  }

  click(x, y, add) {
    const { app } = this;
    const row = app.card.rowAt(x, y);
    if (row >= 0 && add) app.selection.toggle(row);
    app.card.pinned = false;
    app.card.point(x, y);
    app.card.pinned = row >= 0;
    if (row >= 0) app.card.showRow(row, x, y, { speak: true });
    app.remember();
  }

  greet() {
    const { app } = this;
    if (app.view.current < 0) {
      document.getElementById("live").textContent =
        `Map of ${app.facts.count} images. Arrow keys walk from image to image; Help has all keys.`;
    }
  }

  key(event) {
    const { app } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const direction = directions[event.key];
    const { width, height } = app.camera;
    if (direction && event.shiftKey) {
      app.camera.pan(-direction[0] * PAN_SHARE * width, direction[1] * PAN_SHARE * height);
      app.moved();
    } else if (direction) this.walk(direction);
    else if (event.key === "+" || event.key === "=") this.zoom(1.6, ...this.focusPlace());
    else if (event.key === "-") this.zoom(1 / 1.6, ...this.focusPlace());
    else if (event.key === "0") this.reset();
    else if (event.key === "r" || event.key === "l") this.choose(event.key === "r" ? "rectangle" : "lasso");
    else if (event.key === "Enter" || event.key === " ") {
      if (app.view.current < 0) return;
      app.selection.toggle(app.view.current);
      app.focus(app.view.current);
    } else if (event.key === "c" && app.labels && app.view.current >= 0) app.selectClass(app.labels[app.view.current]);
    else if (event.key === "/") document.getElementById("search").focus();
    else if (event.key === "Escape") {
      if (!app.card.element.hidden) app.card.hide();
      else app.selection.set([]);
      app.line.close();
      this.choose(null);
    } else return;
    event.preventDefault();
  }

  focusPlace() {
    const { app } = this;
    return app.view.current < 0 ? [] : app.camera.toScreen(app.view.place(app.view.current));
  }

  // Go to the nearest image in a direction of the screen; first to the one nearest to the middle.
  walk([dx, dy]) {
    const { app } = this;
    const { camera, points, view } = app;
    const from = view.current < 0 ? [camera.x, camera.y] : camera.flatten(view.place(view.current));
    let [best, least] = [-1, Infinity];
    for (let row = 0; row < points.count; row++) {
      if (row === view.current) continue;
      const place = camera.flatten(view.place(row));
      const [x, y] = [place[0] - from[0], place[1] - from[1]];
      const ahead = x * dx + y * dy;
      const aside = Math.abs(x * dy) + Math.abs(y * dx);
      if (view.current >= 0 && ahead <= 0) continue;
      // What lies ahead counts; what lies aside counts three times.
      const cost = view.current < 0 ? Math.hypot(x, y) : ahead + 3 * aside;
      if (cost < least) [best, least] = [row, cost];
    }
    if (best >= 0) app.focus(best);
  }
}

function corners([[x0, y0], [x1, y1] = [x0, y0]]) {
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
}

// The rows inside an outline of the plane.
function rowsInside(points, outline) {
  const xs = outline.map(([x]) => x);
  const ys = outline.map(([, y]) => y);
  const rows = [];
  points.inBox(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (row) => {
    if (isInside(points.x(row), points.y(row), outline)) rows.push(row);
  });
  return rows.sort((a, b) => a - b);
}

function isInside(x, y, outline) {
  let inside = false;
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [outline[i], outline[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
