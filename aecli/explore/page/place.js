// Place an image of the user's on the map: from a file, the clipboard or a drawing.

const NEIGHBORS = 6;
const BRUSH = 0.075; // Of the pad's side.

class Place {
  constructor(app) {
    this.app = app;
    this.asked = 0;
    const section = document.getElementById("place-section");
    if (!app.network || app.image.lines) return;
    section.hidden = false;
    if (!app.network.encodes) {
      for (const part of section.querySelectorAll("p.note, div")) part.hidden = true;
      this.say(NO_FEATURES);
    }
    const file = document.getElementById("place-file");
    file.onchange = () => file.files.length && this.take(file.files[0]);
    document.getElementById("place-clear").onclick = () => this.clear();
    const body = document.body;
    body.addEventListener("dragover", (event) => {
      event.preventDefault();
      body.classList.add("drop");
    });
    body.addEventListener("dragleave", () => body.classList.remove("drop"));
    body.addEventListener("drop", (event) => {
      event.preventDefault();
      body.classList.remove("drop");
      if (event.dataTransfer.files.length) this.take(event.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (event) => {
      const item = [...event.clipboardData.items].find((one) => one.type.startsWith("image/"));
      if (item) this.take(item.getAsFile());
    });
    const draws = app.facts.drawing && app.network.encodes;
    document.getElementById("or-draw").hidden = !draws;
    if (draws) this.preparePad();
  }

  say(text) {
    document.getElementById("place-text").textContent = text;
  }

  async take(blob) {
    if (!this.app.network.encodes) return;
    let picture;
    try {
      picture = await readPicture(blob);
    } catch {
      this.say(`${blob.name ?? "what was pasted"} is not an image that this browser can read`);
      return;
    }
    await this.show(convertPicture(picture, this.app.image), blob.name ?? "the pasted image");
  }

  // Encode pixels (h * w * c), show where they lie, and return their code.
  async show(pixels, name) {
    const { app } = this;
    const asked = ++this.asked;
    const code = await app.network.encode(pixels);
    const decoded = await app.network.decode(code);
    if (asked !== this.asked) return code;
    const place = app.placeOf(code);
    app.view.placed = place;
    app.view.redraw();
    drawPixels(document.getElementById("place-input"), pixels, app.image);
    drawPixels(document.getElementById("place-decoded"), decoded, app.image);
    const near = app.points.nearestRows(place, NEIGHBORS);
    this.showNeighbors(near);
    const names = near.map((row) => labelOf(app, row)).filter((label) => label !== null);
    const around = names.length ? `; its nearest images are of ${[...new Set(names)].map((text) => shorten(text, 40)).join(", ")}` : "";
    this.say(`${name} lies at ${[...code].slice(0, 3).map(threeDigits).join(", ")}${around}`);
    return code;
  }

  showNeighbors(rows) {
    const { app } = this;
    const list = document.getElementById("place-neighbors");
    list.replaceChildren(
      ...rows.map((row) => {
        const button = document.createElement("button");
        button.setAttribute("aria-label", describeRow(app, row).replaceAll("\n", ", "));
        if (app.thumbnails?.has(row)) button.append(thumbnailCanvas(app, row, 44));
        else button.textContent = nameOf(app, row);
        button.onclick = () => app.focus(row);
        const item = document.createElement("li");
        item.append(button);
        return item;
      }),
    );
  }

  clear() {
    this.app.view.placed = null;
    this.app.view.redraw();
    this.say("");
    this.asked++;
    document.getElementById("place-neighbors").replaceChildren();
    for (const id of ["place-input", "place-decoded"]) {
      const canvas = document.getElementById(id);
      canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    }
    if (this.pad) this.clearPad();
  }

  preparePad() {
    document.getElementById("pad-figure").hidden = false;
    this.pad = document.getElementById("pad");
    this.clearPad();
    let last = null;
    const at = (event) => {
      const { left, top, width } = this.pad.getBoundingClientRect();
      const scale = this.pad.width / width;
      return [(event.clientX - left) * scale, (event.clientY - top) * scale];
    };
    this.pad.onpointerdown = (event) => {
      this.pad.setPointerCapture(event.pointerId);
      last = at(event);
      this.stroke(last, last);
    };
    this.pad.onpointermove = (event) => {
      if (!last) return;
      const next = at(event);
      this.stroke(last, next);
      last = next;
    };
    this.pad.onpointerup = this.pad.onpointercancel = () => (last = null);
  }

  get inkColor() {
    const { ground, ink } = this.app.facts.drawing;
    return [ground, ink].map((value) => Math.round(255 * value));
  }

  clearPad() {
    const context = this.pad.getContext("2d", { willReadFrequently: true });
    const [ground] = this.inkColor;
    context.fillStyle = `rgb(${ground},${ground},${ground})`;
    context.fillRect(0, 0, this.pad.width, this.pad.height);
  }

  stroke(from, to) {
    const context = this.pad.getContext("2d");
    const [, ink] = this.inkColor;
    context.strokeStyle = `rgb(${ink},${ink},${ink})`;
    context.lineWidth = BRUSH * this.pad.width;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
    this.readPad();
  }

  // What is on the pad, placed on the map.
  readPad() {
    const { width } = this.pad;
    const { data } = this.pad.getContext("2d").getImageData(0, 0, width, width);
    const [ground, ink] = this.inkColor;
    const amount = new Float32Array(width * width);
    for (let i = 0; i < amount.length; i++) {
      amount[i] = Math.min(1, Math.max(0, (data[4 * i] - ground) / (ink - ground)));
    }
    const pixels = convertDrawing(amount, width, this.app.image, this.app.facts.drawing);
    return this.show(pixels, "the drawing");
  }
}

function thumbnailCanvas(app, row, side) {
  const canvas = document.createElement("canvas");
  const [w, h] = app.thumbnails.size(side);
  [canvas.width, canvas.height] = [Math.max(1, Math.round(w)), Math.max(1, Math.round(h))];
  app.thumbnails.draw(canvas.getContext("2d"), row, 0, 0, canvas.width, canvas.height);
  return canvas;
}
