// Dots on a canvas, with WebGL 2 or without.

// The size of a dot in CSS pixels, and how opaque it is, by how many are in view and how near.
function dotLook(visible, zoom) {
  const size = Math.min(9, Math.max(1.6, 26 / (visible + 1) ** 0.25) * Math.min(2, zoom ** 0.35));
  const opacity = visible > 200000 ? 0.45 : visible > 20000 ? 0.65 : 0.85;
  return { size, opacity };
}

const VERTEX = `#version 300 es
in vec3 place;
in vec4 color;
uniform vec3 across;
uniform vec3 up;
uniform vec2 offset;
uniform highp float size;
uniform highp float opacity;
out vec4 shade;
void main() {
  gl_Position = vec4(vec2(dot(place, across), dot(place, up)) + offset, 0.0, 1.0);
  gl_PointSize = size;
  shade = vec4(color.rgb, color.a * opacity);
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 shade;
uniform highp float size;
out vec4 result;
void main() {
  float far = length(gl_PointCoord - 0.5) * size;
  float alpha = shade.a * clamp(size * 0.5 - far + 0.5, 0.0, 1.0);
  result = vec4(shade.rgb * alpha, alpha);
}`;

class GlDots {
  constructor(canvas, points) {
    const gl = canvas.getContext("webgl2", { alpha: true, premultipliedAlpha: true, antialias: false });
    if (!gl) throw new Error("no WebGL 2");
    this.name = "WebGL 2";
    this.gl = gl;
    this.points = points;
    this.program = this.link(VERTEX, FRAGMENT);
    this.uniforms = Object.fromEntries(
      ["across", "up", "offset", "size", "opacity"].map((name) => [name, gl.getUniformLocation(this.program, name)]),
    );
    gl.bindVertexArray(gl.createVertexArray());
    this.places = this.attribute("place", points.positions);
    this.colors = this.attribute("color", new Uint8Array(4 * points.count));
    this.skip(1);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  link(vertex, fragment) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    return program;
  }

  attribute(name, data) {
    const { gl } = this;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    const location = gl.getAttribLocation(this.program, name);
    gl.enableVertexAttribArray(location);
    return { buffer, location };
  }

  // Let the attributes of a dot be followed by those of the `step`-th after it.
  skip(step) {
    const { gl, points } = this;
    this.step = step;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.places.buffer);
    gl.vertexAttribPointer(this.places.location, points.size, gl.FLOAT, false, 4 * points.size * step, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.colors.buffer);
    gl.vertexAttribPointer(this.colors.location, 4, gl.UNSIGNED_BYTE, true, 4 * step, 0);
  }

  recolor(rgba) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.colors.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, rgba, gl.STATIC_DRAW);
  }

  // Draw every `step`-th dot.
  draw(camera, { size, opacity }, ratio, step) {
    const { gl, uniforms } = this;
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const [sx, sy] = [(2 * camera.scale) / camera.width, (2 * camera.scale) / camera.height];
    const [across, up] = camera.flat ? [[1, 0, 0], [0, 1, 0]] : camera.rotation();
    const middle = camera.flat ? [0, 0, 0] : camera.middle;
    const shift = (row) => row.reduce((sum, value, i) => sum + value * middle[i], 0);
    gl.uniform3fv(uniforms.across, across.map((value) => value * sx));
    gl.uniform3fv(uniforms.up, up.map((value) => value * sy));
    gl.uniform2f(uniforms.offset, -(camera.x + shift(across)) * sx, -(camera.y + shift(up)) * sy);
    gl.uniform1f(uniforms.size, size * ratio);
    gl.uniform1f(uniforms.opacity, opacity);
    if (step !== this.step) this.skip(step);
    gl.drawArrays(gl.POINTS, 0, Math.ceil(this.points.count / step));
  }
}

class CanvasDots {
  constructor(canvas, points) {
    this.name = "Canvas 2D";
    this.context = canvas.getContext("2d", { alpha: true });
    this.points = points;
    this.rgba = null;
  }

  recolor(rgba) {
    this.rgba = rgba;
  }

  // How much of each pixel of a square around a dot's middle it covers.
  stamp(size) {
    const reach = Math.ceil(size / 2 + 0.5);
    const side = 2 * reach + 1;
    const cover = new Float32Array(side * side);
    for (let y = -reach; y <= reach; y++)
      for (let x = -reach; x <= reach; x++)
        cover[(y + reach) * side + x + reach] = Math.min(1, Math.max(0, size / 2 - Math.hypot(x, y) + 0.5));
    return { reach, side, cover };
  }

  draw(camera, { size, opacity }, ratio, step) {
    const { context, points, rgba } = this;
    const { width, height } = context.canvas;
    const image = new ImageData(width, height);
    const { data } = image;
    const { reach, side, cover } = this.stamp(size * ratio);
    const put = (px, py, row) => {
      const [x, y] = [Math.round(px * ratio), Math.round(py * ratio)];
      if (x < -reach || y < -reach || x >= width + reach || y >= height + reach) return;
      const alpha = (opacity * rgba[4 * row + 3]) / 255;
      for (let dy = -reach; dy <= reach; dy++) {
        const ty = y + dy;
        if (ty < 0 || ty >= height) continue;
        for (let dx = -reach; dx <= reach; dx++) {
          const tx = x + dx;
          const share = alpha * cover[(dy + reach) * side + dx + reach];
          if (share === 0 || tx < 0 || tx >= width) continue;
          const at = 4 * (ty * width + tx);
          // Over what is there, with plain alpha.
          const under = (data[at + 3] / 255) * (1 - share);
          const whole = share + under;
          for (let c = 0; c < 3; c++) data[at + c] = (rgba[4 * row + c] * share + data[at + c] * under) / whole;
          data[at + 3] = 255 * whole;
        }
      }
    };
    if (camera.flat) {
      const { positions, count } = points;
      const { scale } = camera;
      const [left, top] = [camera.width / 2 - camera.x * scale, camera.height / 2 + camera.y * scale];
      for (let row = 0; row < count; row += step) put(left + positions[2 * row] * scale, top - positions[2 * row + 1] * scale, row);
    } else {
      for (let row = 0; row < points.count; row += step) {
        const [px, py] = camera.toScreen(points.positions.subarray(3 * row, 3 * row + 3));
        put(px, py, row);
      }
    }
    context.putImageData(image, 0, 0);
  }
}

// What draws WebGL where there is no graphics card: slower than plain pixels on a canvas.
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

function isSoftware(gl) {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  return SOFTWARE.test(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}

// The dots of a page: on the graphics card where there is one, else as pixels on a canvas.
// `wanted`, "webgl" or "canvas", decides otherwise. A canvas that has had WebGL cannot draw without
// it, so it gets another.
function makeDots(canvas, points, wanted) {
  let reason = "asked for";
  if (wanted !== "canvas") {
    try {
      const dots = new GlDots(canvas, points);
      if (wanted === "webgl" || !isSoftware(dots.gl)) return dots;
      reason = "WebGL is drawn by software here";
      dots.gl.getExtension("WEBGL_lose_context")?.loseContext();
    } catch (error) {
      reason = String(error);
    }
  }
  const other = canvas.cloneNode();
  canvas.replaceWith(other);
  const dots = new CanvasDots(other, points);
  dots.reason = reason;
  return dots;
}
