// Which images are selected, and files of them.

class Selection {
  constructor(count, changed) {
    this.mask = new Uint8Array(count);
    this.size = 0;
    this.kept = new Map(); // Rows by name.
    this.changed = changed;
  }

  get rows() {
    const rows = new Uint32Array(this.size);
    let place = 0;
    for (let row = 0; row < this.mask.length; row++) if (this.mask[row]) rows[place++] = row;
    return rows;
  }

  set(rows, { add = false } = {}) {
    if (!add) this.mask.fill(0);
    for (const row of rows) if (row >= 0 && row < this.mask.length) this.mask[row] = 1;
    this.size = this.mask.reduce((sum, one) => sum + one, 0);
    this.changed();
  }

  toggle(row) {
    this.mask[row] = 1 - this.mask[row];
    this.size += this.mask[row] ? 1 : -1;
    this.changed();
  }

  keep(name) {
    this.kept.set(name, this.rows);
  }
}

// A cell of a table for other programs: quoted where it must be. A text that a spreadsheet would
// take for a formula gets an apostrophe.
function csvCell(value) {
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function toCsv(header, rows) {
  return [header, ...rows].map((row) => row.map(csvCell).join(",") + "\n").join("");
}

// Rows as .npy: int64 (n,).
function toNpy(rows) {
  const text = `{'descr': '<i8', 'fortran_order': False, 'shape': (${rows.length},), }`;
  const padded = text.padEnd(64 * Math.ceil((11 + text.length) / 64) - 11, " ") + "\n";
  const bytes = new Uint8Array(10 + padded.length + 8 * rows.length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
  bytes.set(new TextEncoder().encode(padded), 10);
  const view = new DataView(bytes.buffer);
  rows.forEach((row, i) => view.setBigInt64(10 + padded.length + 8 * i, BigInt(row), true));
  return bytes;
}

function download(name, data, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
