// Gaussians, drawn as Kerbl et al. 2023 do (3D Gaussian Splatting, diff-gaussian-rasterization): projected to
// ellipses (Zwicker et al. 2001), sorted by depth, blended from back to front.
import type { SentTensor } from "../decoding/messages.js";
import type { View } from "../pose/pose.js";
import type { Kind } from "./gaussianKinds.js";
import { type Gaussians, headTexels, packed, sorted } from "./gaussians.js";
import { type Extent, NoPicture, numbers, program, type Renderer } from "./renderer.js";

const rowBits = 11;

function vertexText(degree: number, texels: number): string {
  const further = [0, 3, 8, 15][degree]!;
  const at = (j: number): string => {
    const component = (k: number): string => {
      const flat = 3 * j + k;
      return `r${flat >> 2}.${"xyzw"[flat & 3]!}`;
    };
    return `vec3(${component(0)}, ${component(1)}, ${component(2)})`;
  };
  const rest = Array.from({ length: texels - headTexels }, (_, i) => `  vec4 r${i} = entry(at + ${headTexels + i});`).join("\n");
  // utils/sh_utils.py of the reference.
  const basis = [
    "-0.4886025119029199 * d.y", "0.4886025119029199 * d.z", "-0.4886025119029199 * d.x",
    "1.0925484305920792 * d.x * d.y", "-1.0925484305920792 * d.y * d.z", "0.31539156525252005 * (2.0 * d.z * d.z - d.x * d.x - d.y * d.y)",
    "-1.0925484305920792 * d.x * d.z", "0.5462742152960396 * (d.x * d.x - d.y * d.y)",
    "-0.5900435899266435 * d.y * (3.0 * d.x * d.x - d.y * d.y)", "2.890611442640554 * d.x * d.y * d.z",
    "-0.4570457994644658 * d.y * (4.0 * d.z * d.z - d.x * d.x - d.y * d.y)", "0.3731763325901154 * d.z * (2.0 * d.z * d.z - 3.0 * d.x * d.x - 3.0 * d.y * d.y)",
    "-0.4570457994644658 * d.x * (4.0 * d.z * d.z - d.x * d.x - d.y * d.y)", "1.445305721320277 * d.z * (d.x * d.x - d.y * d.y)",
    "-0.5900435899266435 * d.x * (d.x * d.x - 3.0 * d.y * d.y)",
  ];
  const sums = Array.from({ length: further }, (_, j) => `  shown += ${basis[j]} * ${at(j)};`).join("\n");
  return `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D splats;
uniform mat3 axes;
uniform vec3 eye;
uniform vec4 lens;
uniform vec2 size;
layout(location = 0) in uint which;
out vec2 offset;
flat out vec3 conic;
flat out vec4 colour;

vec4 entry(int at) {
  return texelFetch(splats, ivec2(at & ${(1 << rowBits) - 1}, at >> ${rowBits}), 0);
}

void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  int at = int(which) * ${texels};
  vec4 head = entry(at);
  vec3 away = head.xyz - eye;
  vec3 t = away * axes;
  if (t.z <= 0.2 || head.w < 1.0 / 255.0) return;
  vec4 a = entry(at + 1);
  vec4 b = entry(at + 2);
  mat3 world = mat3(a.x, a.y, a.z, a.y, a.w, b.x, a.z, b.x, b.y);
  vec2 limit = 1.3 * 0.5 * size / lens.xy;
  vec2 slope = clamp(t.xy / t.z, -limit, limit);
  // Columns of the rows of J: where a step in the world goes on the picture.
  vec3 j0 = axes * vec3(lens.x / t.z, 0.0, -lens.x * slope.x / t.z);
  vec3 j1 = axes * vec3(0.0, lens.y / t.z, -lens.y * slope.y / t.z);
  vec3 c0 = world * j0;
  float xx = dot(j0, c0) + 0.3;
  float xy = dot(j1, c0);
  float yy = dot(j1, world * j1) + 0.3;
  float det = xx * yy - xy * xy;
  if (!(det > 0.0)) return;
  conic = vec3(yy, -xy, xx) / det;
  vec3 d = normalize(away);
  vec3 shown = 0.28209479177387814 * entry(at + 3).xyz;
${rest}
${sums}
  colour = vec4(max(shown + 0.5, 0.0), head.w);
  // As far as it counts: where alpha falls below 1/255.
  float reach = sqrt(2.0 * log(255.0 * head.w));
  vec2 extent = reach * sqrt(vec2(xx, yy));
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;
  offset = corner * extent;
  vec2 pixel = lens.xy * t.xy / t.z + lens.zw + offset;
  gl_Position = vec4(2.0 * pixel.x / size.x - 1.0, 1.0 - 2.0 * pixel.y / size.y, 0.0, 1.0);
}
`;
}

const fragmentText = `#version 300 es
precision highp float;
in vec2 offset;
flat in vec3 conic;
flat in vec4 colour;
out vec4 pixel;
void main() {
  float power = -0.5 * (conic.x * offset.x * offset.x + conic.z * offset.y * offset.y) - conic.y * offset.x * offset.y;
  float alpha = min(0.99, colour.a * exp(power));
  if (power > 0.0 || alpha < 1.0 / 255.0) discard;
  pixel = vec4(colour.rgb * alpha, alpha);
}
`;

export class SplatRenderer implements Renderer {
  readonly whole = true;
  private readonly state = new Map<string, SentTensor>();
  private gaussians: Gaussians = { count: 0, degree: -1, texels: 0, data: new Float32Array(0) };
  private program: WebGLProgram | null = null;
  private uniforms: Readonly<Record<string, WebGLUniformLocation | null>> = {};
  private texture: WebGLTexture | null = null;
  private rows = 0;
  private readonly array: WebGLVertexArrayObject;
  private readonly order: WebGLBuffer;
  private indices = new Uint32Array(0);
  /** The axis that the order was made for. */
  private axis: readonly number[] = [];

  constructor(
    private readonly gl: WebGL2RenderingContext,
    private readonly kind: Kind,
  ) {
    this.array = gl.createVertexArray();
    this.order = gl.createBuffer();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.order);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, gl.UNSIGNED_INT, 0, 0);
    gl.vertexAttribDivisor(0, 1);
    gl.bindVertexArray(null);
  }

  update(changed: readonly SentTensor[], names: readonly string[]): void {
    const { gl } = this;
    for (const tensor of changed) this.state.set(tensor.name, tensor);
    const there = new Set(names);
    for (const name of this.state.keys()) if (!there.has(name)) this.state.delete(name);
    let next: Gaussians;
    try {
      next = packed(this.kind(this.state));
    } catch (error) {
      throw new NoPicture(error instanceof Error ? error.message : String(error));
    }
    const { count, degree, texels, data } = next;
    if (degree !== this.gaussians.degree) {
      gl.deleteProgram(this.program);
      this.program = program(gl, vertexText(degree, texels), fragmentText);
      this.uniforms = Object.fromEntries(["splats", "axes", "eye", "lens", "size"].map((name) => [name, gl.getUniformLocation(this.program!, name)]));
    }
    const width = 1 << rowBits;
    const rows = Math.max(1, Math.ceil((count * texels) / width));
    if (rows > (gl.getParameter(gl.MAX_TEXTURE_SIZE) as number)) throw new NoPicture(`${count} Gaussians are more than a texture of this graphics processor holds`);
    if (rows > this.rows) {
      gl.deleteTexture(this.texture);
      this.texture = numbers(gl, gl.TEXTURE_2D);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, width, rows);
      this.rows = rows;
    }
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    const full = Math.floor((count * texels) / width);
    if (full > 0) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, full, gl.RGBA, gl.FLOAT, data);
    const left = count * texels - full * width;
    if (left > 0) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, full, left, 1, gl.RGBA, gl.FLOAT, data, 4 * full * width);
    this.gaussians = next;
    if (this.indices.length !== count) this.indices = new Uint32Array(count);
    this.axis = [];
  }

  /** Middle of the Gaussians and how far most of them are from it. */
  extent(): Extent | null {
    const { count, texels, data } = this.gaussians;
    if (count === 0) return null;
    const median = (k: number): number => Array.from({ length: count }, (_, i) => data[4 * texels * i + k]!).sort((a, b) => a - b)[count >> 1]!;
    const middle: [number, number, number] = [median(0), median(1), median(2)];
    const far = Array.from({ length: count }, (_, i) => Math.hypot(...middle.map((m, k) => data[4 * texels * i + k]! - m))).sort((a, b) => a - b);
    return { middle, size: far[Math.floor(0.8 * (count - 1))]! || 1 };
  }

  draw({ pose: p, fx, fy, cx, cy, width, height }: View): void {
    const { gl, uniforms, gaussians } = this;
    gl.clearColor(0, 0, 0, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (gaussians.count === 0 || this.program === null) return;
    const axis = [p[2], p[6], p[10]] as const;
    if (axis.some((v, k) => v !== this.axis[k])) {
      sorted(gaussians, axis, this.indices);
      this.axis = axis;
      gl.bindBuffer(gl.ARRAY_BUFFER, this.order);
      gl.bufferData(gl.ARRAY_BUFFER, this.indices, gl.DYNAMIC_DRAW);
    }
    gl.useProgram(this.program);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.uniform1i(uniforms["splats"] ?? null, 0);
    gl.uniformMatrix3fv(uniforms["axes"] ?? null, true, [p[0], p[1], p[2], p[4], p[5], p[6], p[8], p[9], p[10]]);
    gl.uniform3f(uniforms["eye"] ?? null, p[3], p[7], p[11]);
    gl.uniform4f(uniforms["lens"] ?? null, fx, fy, cx, cy);
    gl.uniform2f(uniforms["size"] ?? null, width, height);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.array);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, gaussians.count);
    gl.bindVertexArray(null);
    gl.disable(gl.BLEND);
  }

  dispose(): void {
    const { gl } = this;
    gl.deleteTexture(this.texture);
    gl.deleteBuffer(this.order);
    gl.deleteVertexArray(this.array);
    gl.deleteProgram(this.program);
  }
}
