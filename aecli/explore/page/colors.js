// The colour of each dot: by class or by a number; what is not selected is faint.

const UNKNOWN_RGB = { light: [184, 188, 194], dark: [90, 96, 104] };
const OUTLIERS = 0.01;
const FAINT = 56; // The opacity, of 255, of what is not selected.

function parseHex(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

class Colors {
  constructor(facts, labels, values, colormap) {
    this.setClasses({ classes: facts.classes, labels });
    this.values = values; // {name: numbers}
    this.colormap = colormap;
    this.count = facts.count;
    this.plain = parseHex("#3f90da");
    this.by = labels ? "label" : (Object.keys(values)[0] ?? "nothing");
    this.theme = "light";
    this.rgba = new Uint8Array(4 * this.count);
  }

  setClasses({ classes, labels }) {
    this.classes = classes.map((one) => parseHex(one.color));
    this.labels = labels;
  }

  get unknown() {
    return UNKNOWN_RGB[this.theme];
  }

  // The numbers of the first and the last colour; 1 % at each end do not count.
  limits(name) {
    const numbers = this.values[name];
    const known = Array.from(numbers.levels).filter((level) => level !== UNKNOWN_LEVEL).sort((a, b) => a - b);
    if (!known.length) return [0, 1];
    const at = (share) => numbers.low[0] + numbers.step[0] * known[Math.round(share * (known.length - 1))];
    const [low, high] = [at(OUTLIERS), at(1 - OUTLIERS)];
    return high > low ? [low, high] : [low, low + 1e-6 * Math.max(1, Math.abs(low))];
  }

  of(row) {
    if (this.by === "label") return this.labels[row] === UNKNOWN_LEVEL ? this.unknown : this.classes[this.labels[row]];
    if (this.by === "nothing") return this.plain;
    const value = levelValue(this.values[this.by], row, 0);
    if (Number.isNaN(value)) return this.unknown;
    const [low, high] = this.range;
    const at = 3 * Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low))));
    return [this.colormap[at], this.colormap[at + 1], this.colormap[at + 2]];
  }

  css(row) {
    return `rgb(${this.of(row).join(",")})`;
  }

  // Colour all dots; of those outside a selection (a mask, or null) only a shade is left.
  paint(mask) {
    if (this.by in this.values) this.range = this.limits(this.by);
    for (let row = 0; row < this.count; row++) {
      const color = this.of(row);
      this.rgba[4 * row] = color[0];
      this.rgba[4 * row + 1] = color[1];
      this.rgba[4 * row + 2] = color[2];
      this.rgba[4 * row + 3] = mask && !mask[row] ? FAINT : 255;
    }
  }
}
