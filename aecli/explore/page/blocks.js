// Read the facts of the page, and its binary blocks.

const TYPES = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  int8: Int8Array,
  int16: Int16Array,
  float32: Float32Array,
};
const UNKNOWN_LEVEL = 65535;

function readFacts() {
  return JSON.parse(document.getElementById("facts").textContent);
}

// The bytes of a block; its text is let go, which takes as much memory again.
function readBytes(name) {
  const element = document.getElementById(`block-${name}`);
  const text = atob(element.textContent);
  element.remove();
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function readArray(fact) {
  return new TYPES[fact.type](readBytes(fact.block).buffer);
}

// Numbers (n, d) kept as levels: {levels, low, step, count, size}.
function readLevels(fact) {
  const [count, size] = fact.shape;
  return { levels: readArray(fact), low: fact.low, step: fact.step, count, size };
}

function levelValue(numbers, row, column) {
  const level = numbers.levels[row * numbers.size + column];
  return level === UNKNOWN_LEVEL ? NaN : numbers.low[column] + numbers.step[column] * level;
}

function levelRow(numbers, row) {
  const values = new Float32Array(numbers.size);
  for (let i = 0; i < numbers.size; i++) values[i] = levelValue(numbers, row, i);
  return values;
}

async function readTexts(fact) {
  const stream = new Blob([readBytes(fact.block)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function readSheet(fact) {
  return createImageBitmap(new Blob([readBytes(fact.block)], { type: "image/webp" }));
}
