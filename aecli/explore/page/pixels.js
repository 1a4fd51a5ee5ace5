// Pixels: drawn on canvases, read from pictures, and made smaller as the command does it.

// Draw an image of values (h, w, c) in 0..1 on a canvas, as large as fits.
function drawPixels(canvas, pixels, image) {
  const { height, width } = image;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (image.lines) {
    drawLine(context, pixels, canvas.width, canvas.height, image.limits);
    return;
  }
  const picture = new OffscreenCanvas(width, height);
  picture.getContext("2d").putImageData(toImageData(pixels, image), 0, 0);
  const scale = Math.min(canvas.width / width, canvas.height / height);
  context.imageSmoothingEnabled = scale < 1;
  const [w, h] = [width * scale, height * scale];
  context.drawImage(picture, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
}

function toImageData(pixels, { height, width, channels }) {
  const data = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    const from = i * channels;
    const at = (c) => Math.round(255 * Math.min(1, Math.max(0, pixels[from + c])));
    const color = channels === 1 ? [at(0), at(0), at(0)] : [at(0), at(1), channels > 2 ? at(2) : 0];
    data.data.set([...color, channels === 4 ? at(3) : 255], i * 4);
  }
  return data;
}

function drawLine(context, values, width, height, limits) {
  const [low, high] = limits ?? [Math.min(...values), Math.max(...values)];
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.strokeStyle = "#222";
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 0; i < values.length; i++) {
    const x = (i / Math.max(1, values.length - 1)) * (width - 1);
    const y = (1 - (values[i] - low) / (high - low || 1)) * (height - 3) + 1;
    if (i === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
  }
  context.stroke();
}

function lanczos(x) {
  if (x === 0) return 1;
  if (Math.abs(x) >= 3) return 0;
  const a = Math.PI * x;
  return (3 * Math.sin(a) * Math.sin(a / 3)) / (a * a);
}

// For each of `to` new places: where its old neighbours begin, and their weights.
function resampling(from, to) {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, place) => {
    const center = (place + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - 3 * stretch + 0.5));
    const last = Math.min(from, Math.floor(center + 3 * stretch + 0.5));
    const weights = [];
    for (let i = first; i < last; i++) weights.push(lanczos((i + 0.5 - center) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

function roundByte(value) {
  return Math.min(255, Math.max(0, Math.round(value)));
}

// Stretch an image of values (h, w, c) in 0..255 with Lanczos' filter, rounded after each
// direction, as Pillow does it.
function stretch(values, height, width, channels, toHeight, toWidth) {
  let [data, w] = [values, width];
  if (toWidth !== width) {
    const across = resampling(width, toWidth);
    const next = new Float32Array(height * toWidth * channels);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < toWidth; x++)
        for (let c = 0; c < channels; c++) {
          const { first, weights } = across[x];
          let sum = 0;
          for (let i = 0; i < weights.length; i++) sum += weights[i] * data[(y * width + first + i) * channels + c];
          next[(y * toWidth + x) * channels + c] = roundByte(sum);
        }
    [data, w] = [next, toWidth];
  }
  if (toHeight === height) return data;
  const down = resampling(height, toHeight);
  const result = new Float32Array(toHeight * w * channels);
  for (let y = 0; y < toHeight; y++)
    for (let x = 0; x < w; x++)
      for (let c = 0; c < channels; c++) {
        const { first, weights } = down[y];
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * data[((first + i) * w + x) * channels + c];
        result[(y * w + x) * channels + c] = roundByte(sum);
      }
  return result;
}

// A picture's RGBA bytes as the encoder's input: on the ground, grey or colour, of the images' size.
function convertPicture(data, image) {
  const { height, width, channels, rescale } = image;
  const ground = image.ground === "white" ? 255 : 0;
  const kept = channels === 1 ? 1 : 3;
  const values = new Float32Array(data.width * data.height * kept);
  for (let i = 0; i < data.width * data.height; i++) {
    const alpha = data.data[i * 4 + 3] / 255;
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(data.data[i * 4 + c] * alpha + ground * (1 - alpha)));
    if (kept === 1) values[i] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
    else values.set([r, g, b], i * 3);
  }
  const small = stretch(values, data.height, data.width, kept, height, width);
  // Only where 8 bits are what the range is of.
  const [low, high] = rescale && rescale[0] >= 0 && rescale[1] <= 255 && rescale[1] > 32 ? rescale : [0, 255];
  const pixels = new Float32Array(height * width * channels).fill(1);
  for (let i = 0; i < height * width; i++)
    for (let c = 0; c < Math.min(kept, channels); c++)
      pixels[i * channels + c] = (small[i * kept + c] - low) / (high - low);
  return pixels;
}

const MOST_PICTURE_SIDE = 4096;

// The RGBA bytes of an image file or blob, at most 4,096 pixels a side.
async function readPicture(blob) {
  const bitmap = await createImageBitmap(blob);
  const shrink = Math.min(1, MOST_PICTURE_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * shrink)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// A drawing's ink, values (side, side) in 0..1, as an image like the others: where they have a box
// and a centre of mass in common, the drawing gets them too.
function convertDrawing(ink, side, image, drawing) {
  const { height, width } = image;
  const [top, left, bottom, right] = inkBox(ink, side);
  const pixels = new Float32Array(height * width).fill(drawing.ground);
  if (bottom < top) return pixels;
  let small, place;
  if (drawing.box) {
    const [h, w] = [bottom - top + 1, right - left + 1];
    const scale = drawing.box / Math.max(h, w);
    const [toHeight, toWidth] = [h, w].map((length) => Math.max(1, Math.round(length * scale)));
    const cut = new Float32Array(h * w);
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) cut[y * w + x] = 255 * ink[(top + y) * side + left + x];
    small = { values: stretch(cut, h, w, 1, toHeight, toWidth), height: toHeight, width: toWidth };
    const [cy, cx] = inkCenter(small);
    place = [Math.round(drawing.center[0] - cy), Math.round(drawing.center[1] - cx)];
  } else {
    const all = ink.map((value) => 255 * value);
    small = { values: stretch(all, side, side, 1, height, width), height, width };
    place = [0, 0];
  }
  for (let y = 0; y < small.height; y++)
    for (let x = 0; x < small.width; x++) {
      const [toY, toX] = [y + place[0], x + place[1]];
      if (toY < 0 || toX < 0 || toY >= height || toX >= width) continue;
      const value = small.values[y * small.width + x] / 255;
      pixels[toY * width + toX] = drawing.ground + value * (drawing.ink - drawing.ground);
    }
  return pixels;
}

const INK = 0.1;

function inkBox(ink, side) {
  let [top, left, bottom, right] = [side, side, -1, -1];
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++)
      if (ink[y * side + x] > INK) {
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
        [left, right] = [Math.min(left, x), Math.max(right, x)];
      }
  return [top, left, bottom, right];
}

function inkCenter({ values, height, width }) {
  let [sum, sumY, sumX] = [0, 0, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = values[y * width + x];
      sum += value;
      sumY += value * y;
      sumX += value * x;
    }
  return [sumY / sum, sumX / sum];
}
