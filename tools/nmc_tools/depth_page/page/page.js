// The page: a picture goes up, its depth and the scene in space come back.

import { Scene } from "./scene.js";

const MOST_BYTES = 32 * 2 ** 20;
const at = (id) => document.getElementById(id);
const canvas = at("canvas");
let scene = null;
let newest = 0; // a picture that was sent later takes the place of this one
try {
  scene = new Scene(canvas);
} catch (error) {
  at("view").innerHTML = `<p>The scene in space cannot be drawn here: ${error.message}. The film shows it.</p>`;
}
window.nmcDepth = { scene, facts: null };

function say(words, wrong = false) {
  at("notice").textContent = words;
  at("notice").className = wrong ? "wrong" : "";
}

async function told(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `the server answered ${response.status}`;
  }
}

async function send(file) {
  if (file.size > MOST_BYTES) return say("a picture has at most 32 MiB; make it smaller", true);
  const mine = ++newest;
  say(`Sending ${file.name || "the picture"}, and looking at it…`);
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  let answer;
  try {
    answer = await fetch("depth", { method: "POST", body: file, headers: { "content-type": type } });
  } catch {
    return mine === newest && say("the server cannot be reached; is it still running?", true);
  }
  if (mine !== newest) return;
  if (!answer.ok) return say(await told(answer), true);
  await show(await answer.json(), mine);
}

async function show(facts, mine) {
  const base = `result/${facts.id}/`;
  at("picture").src = `${base}picture.png`;
  at("colours").src = `${base}colours.png`;
  at("depth-file").href = `${base}depth.png`;
  at("mesh-file").href = `${base}surface.ply`;
  at("range").textContent = `${facts.nearest.toFixed(2)} to ${facts.farthest.toFixed(2)} m`;
  for (const id of ["film-file", "shown"]) at(id).hidden = true;
  at("film").hidden = false;
  at("film").disabled = false;
  const response = await fetch(`${base}depth.bin`);
  if (!response.ok) return say(await told(response), true);
  const depth = new Uint16Array(await response.arrayBuffer());
  await at("picture").decode();
  if (mine !== newest) return;
  at("result").hidden = false;
  if (scene) scene.show(at("picture"), depth, facts);
  window.nmcDepth.facts = facts;
  say(`${facts.width} × ${facts.height} pixels, ${facts.nearest.toFixed(1)} to ${facts.farthest.toFixed(1)} m away`);
}

at("film").addEventListener("click", async () => {
  const facts = window.nmcDepth.facts;
  at("film").disabled = true;
  say("Making the film…");
  const address = `result/${facts.id}/turning.mp4`;
  const response = await fetch(address);
  if (facts !== window.nmcDepth.facts) return;
  if (!response.ok) {
    at("film").disabled = false;
    return say(await told(response), true);
  }
  await response.arrayBuffer();
  at("film-file").href = at("shown").src = address;
  at("film").hidden = true;
  for (const id of ["film-file", "shown"]) at(id).hidden = false;
  say("The film is ready");
});

at("file").addEventListener("change", (event) => {
  if (event.target.files.length) send(event.target.files[0]);
  event.target.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
  if (file) send(file);
});

if (scene) {
  const held = () => (at("turn").checked = false);
  const redraw = () => requestAnimationFrame(() => scene.draw());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    scene.yaw += event.movementX * 0.008;
    scene.pitch = Math.max(-1.4, Math.min(1.4, scene.pitch + event.movementY * 0.008));
    redraw();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    scene.zoom = Math.max(0.2, Math.min(8, scene.zoom * Math.exp(-event.deltaY * 0.001)));
    redraw();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-0.08, 0], ArrowRight: [0.08, 0], ArrowUp: [0, -0.08], ArrowDown: [0, 0.08] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    held();
    scene.yaw += move[0];
    scene.pitch = Math.max(-1.4, Math.min(1.4, scene.pitch + move[1]));
    redraw();
  });
  at("reset").addEventListener("click", () => {
    held();
    scene.home();
    redraw();
  });
  at("points").addEventListener("change", (event) => {
    scene.points = event.target.checked;
    redraw();
  });
  window.addEventListener("resize", redraw);
  // To and fro, where a person wants no rest.
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (calm) held();
  let began = 0;
  const step = (now) => {
    if (at("turn").checked && window.nmcDepth.facts) {
      began ||= now;
      scene.yaw = 0.45 * Math.sin((now - began) / 1800);
      scene.draw();
    } else began = 0;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
