// The scene in space: a grid of points from a depth map, torn where depth jumps, drawn by WebGL 2.

const LONGEST = 400; // points along the longer side
const TORN = 0.06; // neighbours whose depths differ by a larger share belong to two things

const VERTEX = `#version 300 es
in vec3 place; in vec2 at;
uniform mat4 view; uniform float size;
out vec2 uv;
void main() { gl_Position = view * vec4(place, 1.0); gl_PointSize = size / gl_Position.w; uv = at; }`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec2 uv; uniform sampler2D picture; out vec4 colour;
void main() { colour = vec4(texture(picture, uv).rgb, 1.0); }`;

/** Points, texture places and triangles of a depth map: `depth` in mm, row by row. */
export function surface(depth, width, height, focal) {
  const step = Math.max(1, Math.ceil(Math.max(width, height) / LONGEST));
  const columns = Math.floor((width - 1) / step) + 1;
  const rows = Math.floor((height - 1) / step) + 1;
  const places = new Float32Array(rows * columns * 3);
  const at = new Float32Array(rows * columns * 2);
  for (let r = 0, n = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, n++) {
      const x = Math.min(width - 1, c * step);
      const y = Math.min(height - 1, r * step);
      const z = depth[y * width + x] / 1000;
      places[3 * n] = ((x + 0.5 - width / 2) / focal) * z;
      places[3 * n + 1] = (-(y + 0.5 - height / 2) / focal) * z;
      places[3 * n + 2] = -z;
      at[2 * n] = (x + 0.5) / width;
      at[2 * n + 1] = (y + 0.5) / height;
    }
  }
  const faces = [];
  const whole = (a, b, c) => {
    const z = [places[3 * a + 2], places[3 * b + 2], places[3 * c + 2]].map(Math.abs);
    return Math.max(...z) <= Math.min(...z) * (1 + TORN);
  };
  for (let r = 0; r + 1 < rows; r++) {
    for (let c = 0; c + 1 < columns; c++) {
      const a = r * columns + c, b = a + 1, d = a + columns, e = d + 1;
      if (whole(a, d, b)) faces.push(a, d, b);
      if (whole(b, d, e)) faces.push(b, d, e);
    }
  }
  return { places, at, faces: new Uint32Array(faces), step };
}

/** Column-major product of two 4 x 4 matrices. */
function product(a, b) {
  const out = new Float32Array(16);
  for (let c = 0; c < 4; c++)
    for (let r = 0; r < 4; r++)
      for (let k = 0; k < 4; k++) out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
  return out;
}

export class Scene {
  /** Throws where the browser has no WebGL 2. */
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("this browser has no WebGL 2");
    this.home();
    this.points = false;
    this.program = this.compiled();
    this.buffers = [];
  }

  home() {
    this.yaw = 0;
    this.pitch = 0;
    this.zoom = 1;
  }

  compiled() {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error("WebGL 2 fails here");
    return program;
  }

  /** Show a picture (an image element) with its depth in mm. */
  show(image, depth, facts) {
    const gl = this.gl;
    for (const buffer of this.buffers) gl.deleteBuffer(buffer);
    if (this.texture) gl.deleteTexture(this.texture);
    const made = surface(depth, facts.width, facts.height, facts.focal);
    this.facts = facts;
    this.count = made.places.length / 3;
    this.corners = made.faces.length;
    this.step = made.step;
    this.buffers = [["place", 3, made.places], ["at", 2, made.at]].map(([name, size, values]) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      const where = gl.getAttribLocation(this.program, name);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, size, gl.FLOAT, false, 0, 0);
      return buffer;
    });
    const faces = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, made.faces, gl.STATIC_DRAW);
    this.buffers.push(faces);
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, image);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    this.home();
    this.draw();
  }

  view() {
    const { focal, width, height, median } = this.facts;
    const aspect = this.canvas.width / this.canvas.height;
    // The whole picture fits, whichever side is the longer one.
    const half = Math.max(height, width / aspect) / 2 / focal;
    const near = median * 0.02, far = median * 40;
    const lens = new Float32Array([
      1 / (half * aspect), 0, 0, 0, 0, 1 / half, 0, 0,
      0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0,
    ]);
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const turned = new Float32Array([cy, sp * sy, -cp * sy, 0, 0, cp, sp, 0, sy, -sp * cy, cp * cy, 0, 0, 0, 0, 1]);
    const behind = 0.5 - 0.5 * Math.cos(this.yaw);
    const away = median * (1 + 0.9 * behind) / this.zoom;
    const out = new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, -away, 1]);
    const middle = new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, median, 1]);
    return product(lens, product(out, product(turned, middle)));
  }

  draw() {
    if (!this.facts) return;
    const gl = this.gl;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((s) => Math.max(1, Math.round(s * scale)));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0.094, 0.102, 0.118, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(this.program);
    gl.uniformMatrix4fv(gl.getUniformLocation(this.program, "view"), false, this.view());
    const half = Math.max(this.facts.height, this.facts.width * height / width) / 2;
    gl.uniform1f(gl.getUniformLocation(this.program, "size"), 1.2 * this.step * this.facts.median * height / 2 / half);
    if (this.points || !this.corners) gl.drawArrays(gl.POINTS, 0, this.count);
    else gl.drawElements(gl.TRIANGLES, this.corners, gl.UNSIGNED_INT, 0);
  }
}
