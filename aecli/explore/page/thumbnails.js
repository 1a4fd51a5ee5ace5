// Small images: which are drawn in view, and where they lie on the sheets.

const CELL = 44; // The side of a small image on the screen, at the least, in CSS pixels.
const NEAR = 2.2; // The zoom from which on images take the place of dots.
const MOST_DRAWN = 1500;

// The side of the cell that an image has: twice as large far in.
function cellSide(zoom) {
  return CELL * Math.min(2, Math.max(1, Math.sqrt(zoom / 10)));
}

class Thumbnails {
  constructor(fact, count) {
    this.fact = fact;
    this.place = null; // For each row its place on the sheets; null where they are the same.
    if (fact.rows) {
      this.place = new Int32Array(count).fill(-1);
      readArray(fact.rows).forEach((row, place) => (this.place[row] = place));
    }
    this.sheets = fact.sheets.map(() => null);
    this.ready = Promise.all(
      fact.sheets.map(async (sheet, i) => (this.sheets[i] = await readSheet(sheet))),
    );
  }

  has(row) {
    return !this.place || this.place[row] >= 0;
  }

  // Draw the small image of a row into a box; false where there is none.
  draw(context, row, x, y, width, height) {
    const place = this.place ? this.place[row] : row;
    const { per_sheet, columns } = this.fact;
    const sheet = place < 0 ? null : this.sheets[Math.floor(place / per_sheet)];
    if (!sheet) return false;
    const at = place % per_sheet;
    const [w, h] = [this.fact.width, this.fact.height];
    context.drawImage(sheet, (at % columns) * w, Math.floor(at / columns) * h, w, h, x, y, width, height);
    return true;
  }

  // The size of a small image on the screen: its longer side is `side`.
  size(side) {
    const scale = side / Math.max(this.fact.width, this.fact.height);
    return [this.fact.width * scale, this.fact.height * scale];
  }

  // The rows whose images are drawn: of each cell of the map the one nearest to its middle, and
  // all where there is room. Cells belong to the map, so that images stay while it is moved.
  choose(points, camera) {
    if (!camera.flat || camera.zoom < NEAR) return [];
    const [left, bottom, right, top] = camera.box();
    const side = 2 ** Math.ceil(Math.log2(cellSide(camera.zoom) / camera.scale));
    const cells = new Map();
    const distances = new Map();
    points.inBox(left - side, bottom - side, right + side, top + side, (row) => {
      if (!this.has(row)) return;
      const [x, y] = [points.x(row), points.y(row)];
      const [cx, cy] = [Math.floor(x / side), Math.floor(y / side)];
      const key = cx * 4294967 + cy;
      const distance = (x - (cx + 0.5) * side) ** 2 + (y - (cy + 0.5) * side) ** 2;
      if (!(distances.get(key) <= distance)) {
        distances.set(key, distance);
        cells.set(key, row);
      }
    });
    return [...cells.values()].slice(0, MOST_DRAWN);
  }
}
