// Where codes lie on the map, and which are near a place.

class Points {
  // positions: float32 (n, size), size 2 or 3.
  constructor(numbers) {
    this.count = numbers.count;
    this.size = numbers.size;
    this.positions = new Float32Array(this.count * this.size);
    for (let i = 0; i < this.positions.length; i++) {
      const column = i % this.size;
      this.positions[i] = numbers.low[column] + numbers.step[column] * numbers.levels[i];
    }
    this.low = numbers.low;
    this.high = numbers.low.map((low, i) => {
      let most = 0;
      for (let row = i; row < numbers.levels.length; row += this.size) most = Math.max(most, numbers.levels[row]);
      return low + numbers.step[i] * most;
    });
    if (this.size === 2) this.index();
  }

  x(row) {
    return this.positions[row * this.size];
  }

  y(row) {
    return this.positions[row * this.size + 1];
  }

  // Cells of a grid, and the rows in each, one after the other.
  index() {
    const side = Math.max(1, Math.min(1024, Math.round(Math.sqrt(this.count / 4))));
    this.side = side;
    this.cellSize = [0, 1].map((i) => (this.high[i] - this.low[i] || 1) / side);
    const cells = new Uint32Array(this.count);
    this.starts = new Uint32Array(side * side + 1);
    for (let row = 0; row < this.count; row++) {
      cells[row] = this.cellOf(this.y(row), 1) * side + this.cellOf(this.x(row), 0);
      this.starts[cells[row] + 1]++;
    }
    for (let i = 0; i < side * side; i++) this.starts[i + 1] += this.starts[i];
    const next = this.starts.slice();
    this.order = new Uint32Array(this.count);
    for (let row = 0; row < this.count; row++) this.order[next[cells[row]]++] = row;
  }

  cellOf(value, axis) {
    const cell = Math.floor((value - this.low[axis]) / this.cellSize[axis]);
    return Math.min(this.side - 1, Math.max(0, cell));
  }

  // Call `visit` with each row in a box of the map.
  inBox(left, bottom, right, top, visit) {
    const [x0, x1] = [this.cellOf(left, 0), this.cellOf(right, 0)];
    const [y0, y1] = [this.cellOf(bottom, 1), this.cellOf(top, 1)];
    for (let y = y0; y <= y1; y++) {
      // Cells of a line lie side by side.
      const [from, to] = [this.starts[y * this.side + x0], this.starts[y * this.side + x1 + 1]];
      for (let i = from; i < to; i++) {
        const row = this.order[i];
        const [px, py] = [this.x(row), this.y(row)];
        if (px >= left && px <= right && py >= bottom && py <= top) visit(row);
      }
    }
  }

  countInBox(left, bottom, right, top, most) {
    const [x0, x1] = [this.cellOf(left, 0), this.cellOf(right, 0)];
    let count = 0;
    for (let y = this.cellOf(bottom, 1); y <= this.cellOf(top, 1) && count <= most; y++) {
      count += this.starts[y * this.side + x1 + 1] - this.starts[y * this.side + x0];
    }
    return count;
  }

  // The row nearest to a place within a radius, or -1.
  nearest(x, y, radius) {
    let [best, least] = [-1, radius * radius];
    this.inBox(x - radius, y - radius, x + radius, y + radius, (row) => {
      const distance = (this.x(row) - x) ** 2 + (this.y(row) - y) ** 2;
      if (distance <= least) [best, least] = [row, distance];
    });
    return best;
  }

  // The rows nearest to a place of as many numbers as positions have, nearest first.
  nearestRows(place, most) {
    const distances = new Float32Array(this.count);
    for (let row = 0; row < this.count; row++) {
      let sum = 0;
      for (let i = 0; i < this.size; i++) sum += (this.positions[row * this.size + i] - place[i]) ** 2;
      distances[row] = sum;
    }
    const best = [];
    for (let row = 0; row < this.count; row++) {
      if (best.length === most && distances[row] >= distances[best[most - 1]]) continue;
      let at = best.length;
      while (at > 0 && distances[best[at - 1]] > distances[row]) at--;
      best.splice(at, 0, row);
      if (best.length > most) best.pop();
    }
    return best;
  }
}
