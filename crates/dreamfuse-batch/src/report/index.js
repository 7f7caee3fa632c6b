"use strict";
const runs = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const FRAMES = 12;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// The turntable follows the pointer.
function turntable(run) {
  const image = element("div", "turn");
  image.style.backgroundImage = `url("${run.key}.png")`;
  image.addEventListener("pointermove", (event) => {
    const part = event.offsetX / image.clientWidth;
    const frame = Math.max(0, Math.min(FRAMES - 1, Math.floor(part * FRAMES)));
    image.style.backgroundPositionX = `${-128 * frame}px`;
  });
  return image;
}

function card(run) {
  const made = element("li");
  if (run.state === "done") {
    const link = element("a");
    link.href = `${run.key}.html`;
    link.append(turntable(run));
    made.append(link);
  }
  made.append(element("p", "", run.prompt));
  const facts = [`#${run.index}`, `seed ${run.seed}`, run.state];
  if (run.agreement !== null) facts.push(`agreement ${run.agreement.toFixed(2)}`);
  if (run.seconds !== null) facts.push(`${Math.round(run.seconds)} s`);
  made.append(element("p", "soft", facts.join(" · ")));
  if (run.message) made.append(element("p", "soft", run.message));
  return made;
}

function draw() {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const least = Number(at("least").value) || 0;
  const order = at("order").value;
  const state = at("state").value;
  const shown = runs.filter((run) => {
    const text = `${run.prompt} ${run.seed} ${run.key}`.toLowerCase();
    return words.every((word) => text.includes(word))
      && (!state || run.state === state)
      && (least === 0 || (run.agreement !== null && run.agreement >= least));
  });
  const value = (run) => (run[order] === null ? -Infinity : run[order]);
  shown.sort((a, b) => (order === "index" ? a.index - b.index : value(b) - value(a)));
  at("runs").replaceChildren(...shown.map(card));
  at("summary").textContent = `${shown.length} of ${runs.length} runs`;
}

// A link may name a search: index.html#teapot.
at("search").value = decodeURIComponent(location.hash.slice(1));
for (const state of new Set(runs.map((run) => run.state))) {
  const option = element("option", "", state);
  option.value = state;
  at("state").append(option);
}
for (const id of ["search", "state", "order", "least"]) at(id).addEventListener("input", draw);
draw();
