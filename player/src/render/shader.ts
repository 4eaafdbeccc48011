// The march of nmc_framework.models.radiance as a fragment shader: the same samples, the same sums.
// What the reference does in two passes is done in one: a sample's weight is known when its density is.
import { outputsOf, type Field } from "./field.js";

/** Entries are in vectors of four; so are inputs and outputs of networks, padded with zeros. */
export function vectors(count: number): number {
  return Math.ceil(count / 4);
}

/** Where the vectors of each linear map begin in the weights: first biases, then columns in fours. */
export interface MapPlan {
  readonly name: string;
  readonly start: number;
  readonly outputs: number;
  /** Vectors of inputs. */
  readonly inputs: number;
  /** For each component of the padded input the column of the weight, or -1. */
  readonly columns: readonly number[];
}

export interface WeightPlan {
  readonly maps: readonly MapPlan[];
  readonly size: number;
}

const harmonicsCount = 9;

export function planWeights(field: Field): WeightPlan {
  const maps: MapPlan[] = [];
  let size = 0;
  const add = (name: string, outputs: number, columns: readonly number[]): void => {
    maps.push({ name, start: size, outputs: vectors(outputs), inputs: columns.length / 4, columns });
    size += vectors(outputs) * (1 + columns.length);
  };
  const upTo = (n: number): number[] => Array.from({ length: 4 * vectors(n) }, (_, i) => (i < n ? i : -1));
  const { networks } = field;
  if (networks === null) return { maps, size };
  const texels = vectors(field.width);
  const encoded = Array.from({ length: field.levels.length * texels * 4 }, (_, i) => {
    const [level, feature] = [Math.floor(i / (4 * texels)), i % (4 * texels)];
    return feature < field.width ? level * field.width + feature : -1;
  });
  const [d0, d1] = networks.density as [{ name: string; outputs: number }, { name: string; inputs: number; outputs: number }];
  add(d0.name, d0.outputs, encoded);
  add(d1.name, d1.outputs, upTo(d1.inputs));
  // The colour network takes what follows the density, then the harmonics of the direction.
  const seen = Array.from({ length: 4 * vectors(1 + networks.geometry) }, (_, i) => (i >= 1 && i <= networks.geometry ? i - 1 : -1));
  const direction = Array.from({ length: 4 * vectors(harmonicsCount) }, (_, i) => (i < harmonicsCount ? networks.geometry + i : -1));
  const [c0, c1, c2] = networks.colour as [{ name: string; outputs: number }, { name: string; inputs: number; outputs: number }, { name: string; inputs: number; outputs: number }];
  add(c0.name, c0.outputs, [...seen, ...direction]);
  add(c1.name, c1.outputs, upTo(c1.inputs));
  add(c2.name, c2.outputs, upTo(c2.inputs));
  return { maps, size };
}

/** Texels in a row of the texture of tables, as a power of two. */
export const rowBits = 11;
export const weightRowBits = 8;

export const vertexShader = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  gl_Position = vec4(corner, 0.0, 1.0);
}
`;

function glsl(value: number): string {
  const text = String(Math.fround(value));
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function vec3(values: readonly number[]): string {
  return `vec3(${values.map(glsl).join(", ")})`;
}

/** All is written out: what is indexed by a number that is known stays in registers. */
function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

function levelsText(field: Field): string {
  const texels = vectors(field.width);
  const summed = field.networks === null;
  let offset = 0;
  const calls = field.levels.map((level, i) => {
    const names = range(texels).map((k) => `e[${summed ? k : i * texels + k}]`);
    const call = `  grid(p, ${glsl(level.cells)}, ${level.cells}, ${level.hashed}, ${level.entries - 1}u, ${offset}, ${names.join(", ")});`;
    offset += level.entries * texels;
    return call;
  });
  const all = range(summed ? texels : texels * field.levels.length).map((k) => `e[${k}]`);
  const outs = range(texels).map((k) => `inout vec4 s${k}`);
  return `
vec4 e[${all.length}];

vec4 entry(int at) {
  return texelFetch(tables, ivec2(at & ${(1 << rowBits) - 1}, at >> ${rowBits}), 0);
}

void grid(vec3 p, float scale, int cells, bool hashed, uint mask, int offset, ${outs.join(", ")}) {
  vec3 scaled = p * scale;
  ivec3 base = clamp(ivec3(scaled), ivec3(0), ivec3(cells - 1));
  vec3 f = scaled - vec3(base);
  vec3 g = 1.0 - f;
  uvec2 x = uvec2(base.x, base.x + 1);
  uvec2 y = uvec2(base.y, base.y + 1);
  uvec2 z = uvec2(base.z, base.z + 1);
  uint side = uint(cells + 1);
  y *= hashed ? 2654435761u : side;
  z *= hashed ? 805459861u : side * side;
${range(8)
  .map((corner) => {
    const [i, j, k] = [corner & 1, (corner >> 1) & 1, corner >> 2].map((bit) => "xy"[bit]!) as [string, string, string];
    const weight = [corner & 1 ? "f.x" : "g.x", corner & 2 ? "f.y" : "g.y", corner & 4 ? "f.z" : "g.z"].join(" * ");
    return `  {
    uint row = hashed ? (x.${i} ^ y.${j} ^ z.${k}) & mask : x.${i} + y.${j} + z.${k};
    int at = offset + int(row) * ${texels};
    float w = ${weight};
${range(texels).map((t) => `    s${t} += w * entry(at + ${t});`).join("\n")}
  }`;
  })
  .join("\n")}
}

void encode(vec3 p) {
  ${all.map((name) => `${name} = vec4(0.0);`).join(" ")}
${calls.join("\n")}
}
`;
}

/** Vectors that a point of a lattice has, each in a texture of its own. */
export function latticeVectors(field: Field): number {
  return vectors(outputsOf(field));
}

/** The field was worked out at the points of a lattice; between them the filter of the textures interpolates. */
function latticeText(field: Field): string {
  const all = range(latticeVectors(field));
  return `
vec4 e[${all.length}];
uniform float lattice;
${all.map((i) => `uniform sampler3D volume${i};`).join("\n")}

void encode(vec3 p) {
  vec3 at = (p * lattice + 0.5) / (lattice + 1.0);
${all.map((i) => `  e[${i}] = textureLod(volume${i}, at, 0.0);`).join("\n")}
}
`;
}

interface Written {
  readonly relu: boolean;
  /** Vectors of inputs from and to before which are taken. */
  readonly first?: number;
  readonly last?: number;
  /** What the sums begin with, in place of the biases. */
  readonly begin?: (o: string) => string;
}

/** Writes a linear map of vectors `from` into vectors `into`. */
function mapText({ start, outputs, inputs }: MapPlan, into: string, from: (i: string) => string, { relu, first = 0, last = inputs, begin }: Written): string {
  return `
  for (int o = 0; o < ${outputs}; o++) {
    vec4 sum = ${begin === undefined ? `W(${start} + o)` : begin("o")};
    int at = ${start + outputs + 4 * first} + o * ${4 * inputs};
    for (int i = ${first}; i < ${last}; i++, at += 4) {
      sum += mat4(W(at), W(at + 1), W(at + 2), W(at + 3)) * ${from("i")};
    }
    ${into}[o] = ${relu ? "max(sum, 0.0)" : "sum"};
  }`;
}

const harmonicsText = `
float basis[9];

void setBasis(vec3 d) {
  basis[0] = 0.28209479;
  basis[1] = -0.48860251 * d.y;
  basis[2] = 0.48860251 * d.z;
  basis[3] = -0.48860251 * d.x;
  basis[4] = 1.09254843 * d.x * d.y;
  basis[5] = -1.09254843 * d.y * d.z;
  basis[6] = 0.31539157 * (3.0 * d.z * d.z - 1.0);
  basis[7] = -1.09254843 * d.x * d.z;
  basis[8] = 0.54627422 * (d.x * d.x - d.y * d.y);
}
`;

/** Functions `setRay`, `logDensity` and `colour` of what `encode` found. */
function familyText(field: Field, { maps }: WeightPlan, baked: boolean): string {
  if (field.networks === null) {
    const at = (flat: number): string => `e[${flat >> 2}].${"xyzw"[flat & 3]!}`;
    const channel = (k: number): string =>
      range(field.harmonics).map((j) => `${at(1 + k * field.harmonics + j)} * basis[${j}]`).join(" + ");
    return `
void setRay(vec3 d) { setBasis(d); }
float logDensity() { return ${at(0)}; }
vec3 colour() {
  vec3 sum = vec3(${[0, 1, 2].map(channel).join(",\n    ")}) / basis[0];
  return 1.0 / (1.0 + exp(-sum));
}
`;
  }
  const [d0, d1, c0, c1, c2] = maps as [MapPlan, MapPlan, MapPlan, MapPlan, MapPlan];
  const seen = d1.outputs;
  const declared = (name: string, count: number): string => `vec4 ${name}[${count}];`;
  const density = (): string => `
  ${declared("hidden", d0.outputs)}
${mapText(d0, "hidden", (i) => `e[${i}]`, { relu: true })}
${mapText(d1, "feature", (i) => `hidden[${i}]`, { relu: false })}`;
  return `
${declared("feature", seen)}
${declared("direction", c0.outputs)}

void setRay(vec3 d) {
  setBasis(d);
  vec4 packed[3];
  packed[0] = vec4(basis[0], basis[1], basis[2], basis[3]);
  packed[1] = vec4(basis[4], basis[5], basis[6], basis[7]);
  packed[2] = vec4(basis[8], 0.0, 0.0, 0.0);
${mapText(c0, "direction", (i) => `packed[${i} - ${seen}]`, { relu: false, first: seen })}
}

float logDensity() {
${baked ? range(seen).map((i) => `  feature[${i}] = e[${i}];`).join("\n") : density()}
  return feature[0].x;
}

vec3 colour() {
  ${declared("first", c0.outputs)}
  ${declared("second", c1.outputs)}
  vec4 shown[1];
${mapText(c0, "first", (i) => `feature[${i}]`, { relu: true, last: seen, begin: (o) => `direction[${o}]` })}
${mapText(c1, "second", (i) => `first[${i}]`, { relu: true })}
${mapText(c2, "shown", (i) => `second[${i}]`, { relu: false })}
  return 1.0 / (1.0 + exp(-shown[0].xyz));
}
`;
}

/** Farthest reach of an unbounded scene, in half edges of its inner cube. */
const farthest = 256;

/** `block`: the weights are a block of uniforms; `baked`: the field comes from a lattice in place of its tables. */
export function fragmentShader(field: Field, plan: WeightPlan, block: boolean, baked: boolean): string {
  const edge = Math.fround(Math.max(...field.upper.map((v, i) => Math.fround(v - field.lower[i]))));
  const half = edge / 2;
  const corner = field.contracted ? field.lower.map((v, i) => (v + field.upper[i]) / 2 - half) : field.lower;
  const [boxLower, boxUpper] = field.contracted
    ? [corner.map((v) => v + half - farthest * half), corner.map((v) => v + half + farthest * half)]
    : [field.lower, field.upper];
  const weights =
    plan.size === 0
      ? ""
      : block
        ? `layout(std140) uniform Weights { vec4 weights[${plan.size}]; };\n#define W(i) weights[i]`
        : `uniform sampler2D weights;\n#define W(i) texelFetch(weights, ivec2((i) & ${(1 << weightRowBits) - 1}, (i) >> ${weightRowBits}), 0)`;
  const place = field.contracted
    ? `
    p -= 1.0;
    float size = max(max(abs(p.x), abs(p.y)), abs(p.z));
    reach = STEP;
    float scale = 0.25;
    if (size > 1.0) {
      reach = STEP * size * size;
      scale = 0.25 * (2.0 - 1.0 / size) / size;
    }
    p = p * scale + 0.5;`
    : "";
  return `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler3D;
precision highp usampler3D;
uniform sampler2D tables;
uniform usampler3D cells;
${weights}
uniform mat3 axes;
uniform vec3 eye;
uniform vec4 lens;
uniform float rows;
uniform vec2 origin;
out vec4 pixel;

const float STEP = ${glsl(field.step)};
const int SIDE = ${field.side};
${baked ? latticeText(field) : levelsText(field)}
${harmonicsText}
${familyText(field, plan, baked)}
void main() {
  vec2 at = vec2(gl_FragCoord.x + origin.x, rows - (gl_FragCoord.y + origin.y));
  vec3 d = normalize(axes * vec3((at - lens.zw) / lens.xy, 1.0));
  vec3 safe = mix(d, vec3(1e-9), lessThan(abs(d), vec3(1e-9)));
  vec3 a = (${vec3(boxLower)} - eye) / safe;
  vec3 b = (${vec3(boxUpper)} - eye) / safe;
  vec3 low = min(a, b);
  vec3 high = max(a, b);
  float near = max(max(low.x, max(low.y, low.z)), 0.0);
  float far = max(min(high.x, min(high.y, high.z)), near);
  near = max(near, ${glsl(field.near)});
  setRay(d);
  float through = 1.0;
  float left = 1.0;
  float reach = STEP;
  float t = near;
  vec3 sum = vec3(0.0);
  for (int n = 0; n < ${1 << 14}; n++) {
    float where = t + 0.5 * reach;
    if (where >= far) break;
    vec3 p = (eye + where * d - ${vec3(corner)}) * ${glsl(field.contracted ? 1 / half : 1 / edge)};
    float along = reach;
    t += reach;${place}
    ivec3 cell = clamp(ivec3(p * float(SIDE)), ivec3(0), ivec3(SIDE - 1));
    if (texelFetch(cells, cell, 0).r == 0u) continue;
    encode(p);
    float optical = exp(min(logDensity() - 1.0, 9.0)) * ${glsl(2 / edge)} * along;
    float after = through * exp(-optical);
    if (through - after > 1e-3) {
      float rest = left * exp(-optical);
      sum += (left - rest) * colour();
      left = rest;
    }
    through = after;
    if (through <= 1e-3) break;
  }
  pixel = vec4(sum + left * ${vec3(field.background)}, 1.0);
}
`;
}
