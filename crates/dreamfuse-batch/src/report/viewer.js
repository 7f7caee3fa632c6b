"use strict";
// A viewer for the GLB in this page: one mesh, with vertex colours or a base colour texture.

function parse(bytes) {
  const view = new DataView(bytes.buffer);
  const jsonLength = view.getUint32(12, true);
  const root = JSON.parse(new TextDecoder().decode(bytes.subarray(20, 20 + jsonLength)));
  return { root, start: 20 + jsonLength + 8, bytes };
}

const ARRAYS = { 5121: Uint8Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
const WIDTHS = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };

function accessor(file, index) {
  const { componentType, count, type, bufferView, byteOffset = 0 } = file.root.accessors[index];
  const start = file.start + (file.root.bufferViews[bufferView].byteOffset || 0) + byteOffset;
  const Values = ARRAYS[componentType];
  const length = count * WIDTHS[type] * Values.BYTES_PER_ELEMENT;
  return new Values(file.bytes.slice(start, start + length).buffer);
}

const VERTEX = `#version 300 es
in vec3 position; in vec3 normal; in vec4 color; in vec2 uv;
uniform mat3 turn; uniform vec3 middle; uniform float scale;
out vec3 n; out vec4 c; out vec2 t;
void main() {
  vec3 p = turn * (position - middle) * scale;
  n = turn * normal; c = color; t = uv;
  gl_Position = vec4(p.xy, -p.z * 0.25, 1.0 - p.z * 0.25);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 n; in vec4 c; in vec2 t;
uniform sampler2D image; uniform bool textured;
out vec4 shown;
void main() {
  vec3 albedo = textured ? pow(texture(image, t).rgb, vec3(2.2)) : c.rgb;
  float light = 0.35 + 0.65 * max(0.0, dot(normalize(n), normalize(vec3(0.3, 0.5, 1.0))));
  shown = vec4(pow(albedo * light, vec3(1.0 / 2.2)), 1.0);
}`;

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  return made;
}

function attribute(gl, shaders, name, values, width, kind, isNormalized) {
  const place = gl.getAttribLocation(shaders, name);
  if (place < 0) return;
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, width, kind, isNormalized, 0, 0);
}

function bounds(root, index) {
  const { min, max } = root.accessors[index];
  const middle = min.map((low, i) => (low + max[i]) / 2);
  const reach = Math.hypot(...max.map((high, i) => (high - min[i]) / 2));
  return { middle, scale: 0.95 / reach };
}

async function texture(gl, file) {
  const image = file.root.images && file.root.images[0];
  if (!image) return false;
  const part = file.root.bufferViews[image.bufferView];
  const start = file.start + (part.byteOffset || 0);
  const blob = new Blob([file.bytes.slice(start, start + part.byteLength)], { type: image.mimeType });
  const picture = new Image();
  picture.src = URL.createObjectURL(blob);
  await picture.decode();
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
  URL.revokeObjectURL(picture.src);
  gl.generateMipmap(gl.TEXTURE_2D);
  return true;
}

async function show(canvas, file) {
  const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  if (!gl) throw new Error("this browser has no WebGL 2");
  const shaders = program(gl);
  gl.useProgram(shaders);
  const primitive = file.root.meshes[0].primitives[0];
  const { POSITION, NORMAL, COLOR_0, TEXCOORD_0 } = primitive.attributes;
  attribute(gl, shaders, "position", accessor(file, POSITION), 3, gl.FLOAT, false);
  attribute(gl, shaders, "normal", accessor(file, NORMAL), 3, gl.FLOAT, false);
  if (COLOR_0 !== undefined) {
    attribute(gl, shaders, "color", accessor(file, COLOR_0), 4, gl.UNSIGNED_SHORT, true);
  }
  if (TEXCOORD_0 !== undefined) {
    attribute(gl, shaders, "uv", accessor(file, TEXCOORD_0), 2, gl.FLOAT, false);
  }
  const indices = accessor(file, primitive.indices);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
  const isTextured = await texture(gl, file);
  const uniform = (name) => gl.getUniformLocation(shaders, name);
  gl.uniform1i(uniform("textured"), isTextured ? 1 : 0);
  const { middle, scale } = bounds(file.root, POSITION);
  gl.uniform3fv(uniform("middle"), middle);
  gl.enable(gl.DEPTH_TEST);

  const state = { azimuth: 0.5, elevation: 0.3, zoom: 1 };
  const draw = () => {
    const [ca, sa, ce, se] = [Math.cos(state.azimuth), Math.sin(state.azimuth), Math.cos(state.elevation), Math.sin(state.elevation)];
    // Columns: what the axes of the model become.
    gl.uniformMatrix3fv(uniform("turn"), false, [ca, sa * se, -sa * ce, 0, ce, se, sa, -ca * se, ca * ce]);
    gl.uniform1f(uniform("scale"), scale * state.zoom);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.drawElements(gl.TRIANGLES, indices.length, indices instanceof Uint16Array ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT, 0);
  };
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    state.azimuth -= event.movementX * 0.01;
    state.elevation = Math.max(-1.5, Math.min(1.5, state.elevation + event.movementY * 0.01));
    draw();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    state.zoom = Math.max(0.3, Math.min(6, state.zoom * Math.exp(-event.deltaY * 0.001)));
    draw();
  }, { passive: false });
  draw();
  canvas.dataset.triangles = indices.length / 3;
}

const text = atob(document.getElementById("glb").textContent);
const file = parse(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
show(document.getElementById("view"), file).catch((error) => {
  document.getElementById("said").textContent = `The mesh cannot be shown: ${error.message}`;
});
