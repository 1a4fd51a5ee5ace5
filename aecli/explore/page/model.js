// The encoder and the decoder in plain JavaScript: the arithmetic of `aecli encode` and `decode`.
// These functions also run in a worker, where only they are known.

function activate(values, activation) {
  const n = values.length;
  const [name, count] = activation.split(" ");
  if (name === "largest") {
    // Those of the largest size stay: see model/sparse.py.
    const firstGone = Float32Array.from(values, Math.abs).sort()[n - 1 - count];
    for (let i = 0; i < n; i++) if (Math.abs(values[i]) <= firstGone) values[i] = 0;
  } else if (name === "relu") for (let i = 0; i < n; i++) values[i] = Math.max(0, values[i]);
  else if (name === "sigmoid") for (let i = 0; i < n; i++) values[i] = 1 / (1 + Math.exp(-values[i]));
  else if (name === "silu") for (let i = 0; i < n; i++) values[i] /= 1 + Math.exp(-values[i]);
  else if (name === "tanh") for (let i = 0; i < n; i++) values[i] = Math.tanh(values[i]);
  else if (name === "elu") {
    for (let i = 0; i < n; i++) if (values[i] < 0) values[i] = Math.expm1(values[i]);
  } else if (name === "gelu") {
    for (let i = 0; i < n; i++) {
      const x = values[i];
      values[i] = 0.5 * x * (1 + Math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    }
  }
}

// To mean 0 and variance 1, as jax.nn.standardize does.
function standardize(values) {
  const n = values.length;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += values[i];
  mean /= n;
  let variance = 0;
  for (let i = 0; i < n; i++) variance += (values[i] - mean) ** 2;
  const scale = 1 / Math.sqrt(variance / n + 1e-5);
  for (let i = 0; i < n; i++) values[i] = (values[i] - mean) * scale;
}

// Values (i) times the kernel (i, o), which lies row by row.
function denseProduct(layer, values, sums) {
  const { kernel } = layer;
  const outputs = sums.length;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === 0) continue;
    const row = i * outputs;
    for (let j = 0; j < outputs; j++) sums[j] += value * kernel[row + j];
  }
}

// A convolution: patches of the kernel's size, each half over the next one, on black margins.
function patchesProduct(layer, values, sums) {
  const [height, width, channels] = layer.input;
  const [rows, columns, features] = layer.output;
  const patch = layer.shape[0];
  const stride = patch / 2;
  const top = Math.floor(((rows + 1) * stride - height) / 2);
  const left = Math.floor(((columns + 1) * stride - width) / 2);
  const { kernel } = layer;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const place = (row * columns + column) * features;
      for (let dy = 0; dy < patch; dy++) {
        const y = row * stride + dy - top;
        if (y < 0 || y >= height) continue;
        for (let dx = 0; dx < patch; dx++) {
          const x = column * stride + dx - left;
          if (x < 0 || x >= width) continue;
          for (let c = 0; c < channels; c++) {
            const value = values[(y * width + x) * channels + c];
            if (value === 0) continue;
            const weights = ((dy * patch + dx) * channels + c) * features;
            for (let f = 0; f < features; f++) sums[place + f] += value * kernel[weights + f];
          }
        }
      }
    }
  }
}

// A product of values with a layer's kernel goes on top of its bias.
const PRODUCTS = { dense: denseProduct, patches: patchesProduct };

function applyLayer(layer, values) {
  const size = layer.output.reduce((a, b) => a * b, 1);
  const sums = new Float32Array(size);
  const { bias } = layer;
  for (let i = 0; i < size; i++) sums[i] = bias[i % bias.length];
  PRODUCTS[layer.kind](layer, values, sums);
  activate(sums, layer.activation);
  if (layer.normalize) standardize(sums);
  return sums;
}

// The references nearest to an image, nearest first: [squared distance, which].
function nearestReferences(references, pixels) {
  const { mean, components, coordinates, step, levels, neighbors } = references;
  const size = pixels.length;
  const width = components.length / size;
  const own = new Float64Array(width);
  for (let q = 0; q < width; q++) {
    for (let p = 0; p < size; p++) own[q] += components[q * size + p] * (pixels[p] - mean[p]);
    own[q] = Math.min(levels, Math.max(-levels, Math.round(own[q] / step)));
  }
  const nearest = [];
  for (let m = 0; m < coordinates.length / width; m++) {
    let squared = 0;
    for (let q = 0; q < width; q++) squared += (own[q] - coordinates[m * width + q]) ** 2;
    const last = nearest[neighbors - 1];
    if (last && squared >= last[0]) continue;
    let place = nearest.length;
    while (place > 0 && nearest[place - 1][0] > squared) place--;
    nearest.splice(place, 0, [squared, m]);
    if (nearest.length > neighbors) nearest.pop();
  }
  return nearest;
}

function sumOf(values) {
  return values.reduce((a, b) => a + b, 0);
}

// Where an image lies: the mode of the codes of its neighbours and of its own; see `References` of
// model/references.py.
function placeAmong(references, pixels, code) {
  const { codes, bandwidth, code_bandwidth: spread, own_weight: ownWeight, steps } = references;
  const d = code.length;
  const nearest = nearestReferences(references, pixels);
  // What is the image itself counts as the nearest other does.
  const [least] = nearest.find(([squared]) => squared > 0) ?? [Infinity];
  const weights = nearest.map(([squared]) => Math.exp(Math.min(least - squared, 0) / bandwidth));
  const total = sumOf(weights);
  for (let i = 0; i < weights.length; i++) weights[i] /= total;
  const points = nearest.map(([, m]) => codes.subarray(m * d, (m + 1) * d));
  points.push(code);
  weights.push(ownWeight);
  const kernels = (centre) => points.map((point, i) => {
    let squared = 0;
    for (let j = 0; j < d; j++) squared += (point[j] - centre[j]) ** 2;
    return weights[i] * Math.exp(-squared / spread);
  });
  const densities = points.map((point) => sumOf(kernels(point)));
  let centre = Float32Array.from(points[densities.indexOf(Math.max(...densities))]);
  for (let step = 0; step < steps; step++) {
    const near = kernels(centre);
    const all = sumOf(near);
    centre = centre.map((_, j) => points.reduce((value, point, i) => value + near[i] * point[j], 0) / all);
  }
  return centre;
}

function encodePixels(model, pixels) {
  const code = model.encoder.reduce((values, layer) => applyLayer(layer, values), pixels);
  return model.references ? placeAmong(model.references, pixels, code) : code;
}

// Pixels (h * w * c); in 0..1, unless the model is one of vectors.
function decodeCode(model, code) {
  const pixels = model.decoder.reduce((values, layer) => applyLayer(layer, values), code);
  if (model.clips) {
    for (let i = 0; i < pixels.length; i++) pixels[i] = Math.min(1, Math.max(0, pixels[i]));
  }
  return pixels;
}

function readKernel(fact) {
  const levels = readArray(fact);
  const kernel = new Float32Array(levels.length);
  for (let i = 0; i < levels.length; i++) kernel[i] = levels[i] * fact.scale;
  return kernel;
}

function readLayer(fact) {
  return { ...fact, kernel: readKernel(fact.kernel), shape: fact.kernel.shape, bias: readArray(fact.bias) };
}

function readReferences(fact) {
  const arrays = ["mean", "components", "coordinates", "codes"].map((name) => [name, readArray(fact[name])]);
  return { ...fact, ...Object.fromEntries(arrays) };
}

function readModel(fact) {
  return {
    references: fact.references && readReferences(fact.references),
    encoder: fact.encoder && fact.encoder.map(readLayer),
    decoder: fact.decoder.map(readLayer),
    clips: fact.clips,
  };
}

// What a worker is told to be: the functions above, and an answer to each question.
function workerProgram() {
  const functions = [
    activate, standardize, denseProduct, patchesProduct, applyLayer, nearestReferences, sumOf, placeAmong,
    encodePixels, decodeCode,
  ];
  return `"use strict";
${functions.map(String).join("\n")}
const PRODUCTS = { dense: denseProduct, patches: patchesProduct };
let model = null;
onmessage = ({ data }) => {
  if (data.model) { model = data.model; return; }
  const values = data.task === "decode" ? decodeCode(model, data.values) : encodePixels(model, data.values);
  postMessage({ id: data.id, values }, [values.buffer]);
};`;
}

const SLOW_MILLISECONDS = 4;
const NO_FEATURES =
  "New images cannot be placed here: this map places images by features, and a page has none of new ones. " +
  "aecli encode RUN DATASET --features FILE.npy places them.";

// decode(code) and encode(pixels), both promises of Float32Array; in a worker where they are slow.
class Network {
  constructor(fact, codeSize, pixelCount) {
    this.model = readModel(fact);
    this.waiting = new Map();
    this.next = 0;
    const start = performance.now();
    decodeCode(this.model, new Float32Array(codeSize));
    decodeCode(this.model, new Float32Array(codeSize));
    if (this.encodes) encodePixels(this.model, new Float32Array(pixelCount).fill(0.5));
    this.worker = (performance.now() - start) / 2 > SLOW_MILLISECONDS ? this.startWorker() : null;
  }

  // Not where the encoder needs features of images: a page has none of new ones.
  get encodes() {
    return this.model.encoder !== null;
  }

  startWorker() {
    try {
      const url = URL.createObjectURL(new Blob([workerProgram()], { type: "text/javascript" }));
      const worker = new Worker(url);
      worker.onmessage = ({ data }) => {
        this.waiting.get(data.id)(data.values);
        this.waiting.delete(data.id);
      };
      worker.postMessage({ model: this.model });
      return worker;
    } catch {
      return null; // Without workers the page is slower, and works.
    }
  }

  ask(task, values) {
    const sent = Float32Array.from(values);
    if (!this.worker) {
      return Promise.resolve(task === "decode" ? decodeCode(this.model, sent) : encodePixels(this.model, sent));
    }
    return new Promise((resolve) => {
      this.waiting.set(++this.next, resolve);
      this.worker.postMessage({ task, values: sent, id: this.next });
    });
  }

  decode(code) {
    return this.ask("decode", code);
  }

  encode(pixels) {
    if (!this.encodes) return Promise.reject(new Error(NO_FEATURES));
    return this.ask("encode", pixels);
  }
}
