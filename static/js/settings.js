// The settings: sliders that drive the fields, the shape, and what changes with the model.
import { showLoras } from "darkroom/loras";
import { RATIOS, nearestRatio, ratioText, shapesOf, sizeFor } from "darkroom/shapes";
import { say } from "darkroom/strings";
import { showStyles } from "darkroom/styles";

const models = JSON.parse(document.getElementById("models").textContent);
const field = (name) => document.getElementById(name);
const shape = document.querySelector("[data-shape]");
const current = () => models[field("model").value];
const size = () => [Number(field("width").value), Number(field("height").value)];
let shapes = RATIOS;

// The place on the slider of the shape that suits an image best.
export const nearestShape = (width, height) => nearestRatio(width, height, shapes);

export function startSettings(changed) {
  for (const slider of document.querySelectorAll("[data-drives]")) drive(slider, changed);
  shape.addEventListener("input", () => { chooseShape(); changed(); });
  for (const name of ["width", "height"]) field(name).addEventListener("input", showShape);
  field("model").addEventListener("change", () => { chooseModel(); changed(); });
  for (const button of document.querySelectorAll("[data-clears]")) {
    button.addEventListener("click", () => { field(button.dataset.clears).value = ""; changed(); });
  }
  showSettings();
}

export function showSettings() {
  if (!current()) return;
  showModel();
  showShape();
  document.querySelectorAll("[data-drives]").forEach(showSlider);
}

function drive(slider, changed) {
  const driven = field(slider.dataset.drives);
  slider.addEventListener("input", () => { driven.value = slider.value; fill(slider); changed(); });
  driven.addEventListener("input", () => showSlider(slider));
}

function showSlider(slider) {
  const value = Number(field(slider.dataset.drives).value);
  if (value) slider.value = value;
  fill(slider);
}

function fill(slider) {
  const share = (slider.value - slider.min) / Math.max(1, slider.max - slider.min);
  slider.style.setProperty("--at", `${100 * share}%`);
}

function chooseModel() {
  const kept = shapes[shape.value] ?? size();
  const { values, choices } = current();
  for (const [name, value] of Object.entries(values)) if (!(name in choices)) field(name).value = value;
  showModel(values);
  const wanted = nearestShape(...kept);
  if (nearestShape(...size()) !== wanted) putSize(shapes[wanted]);
  showShape();
  document.querySelectorAll("[data-drives]").forEach(showSlider);
}

// A choice stands on what `values` say of it, or stays on what is chosen.
function showModel(values = {}) {
  const model = current();
  document.querySelector("[data-summary]").textContent = model.summary;
  for (const slider of document.querySelectorAll("[data-drives]")) {
    if (slider.dataset.drives in model.limits) showLimits(slider, ...model.limits[slider.dataset.drives]);
  }
  for (const [name, choices] of Object.entries(model.choices)) {
    const chosen = values[name] ?? field(name).value;
    field(name).replaceChildren(...choices.map(([slug, text]) => new Option(text, slug, false, slug === chosen)));
  }
  // A model that takes no negative prompt refuses one: then the field is away, its words are kept.
  document.querySelector("[data-negative]").hidden = !model.uses_negative_prompt;
  field("negative_prompt").disabled = !model.uses_negative_prompt;
  showStart(model.takes_start_image);
  showStyles(field("model").value, field("model").selectedOptions[0].text);
  showLoras(model.loras);
  showSizes(model);
}

// Where there is nothing to choose, the one value is chosen, and the field is away.
function showLimits(slider, least, most) {
  [slider.min, slider.max] = [least, most];
  const isFixed = least === most;
  if (isFixed) field(slider.dataset.drives).value = least;
  slider.closest(".field").hidden = isFixed;
}

// A model that draws from text alone refuses a start image: the panel is hidden, the image is kept.
function showStart(isTaken) {
  for (const part of document.querySelectorAll("[data-start], [data-start-shortcut]")) part.hidden = !isTaken;
  for (const kept of document.querySelectorAll('[data-start] > input[type="hidden"]')) kept.disabled = !isTaken;
}

// A model that names its sizes draws those and no others: there is nothing to type.
function showSizes(model) {
  shapes = shapesOf(model);
  shape.max = shapes.length - 1;
  const box = document.querySelector("[data-sizes]");
  box.toggleAttribute("data-named", model.sizes.length > 0);
  box.toggleAttribute("data-single", shapes.length === 1);
  const limits = { least: model.min_side_px, most: model.max_side_px, grid: model.side_multiple_px };
  document.querySelector("[data-limits]").textContent = say("size_limits", limits);
  const isNamed = model.sizes.some(([width, height]) => width === size()[0] && height === size()[1]);
  if (model.sizes.length && !isNamed) putSize(shapes[nearestShape(...size().map((side) => side || 1))]);
}

function putSize(wanted) {
  [field("width").value, field("height").value] = sizeFor(wanted, current());
}

function chooseShape() {
  if (!current()) return;
  putSize(shapes[shape.value]);
  showShape();
}

function showShape() {
  const [width, height] = size();
  if (!(width > 0 && height > 0)) return;
  shape.value = nearestShape(width, height);
  fill(shape);
  const text = ratioText(width, height);
  shape.setAttribute("aria-valuetext", text);
  document.querySelector("[data-shape-text]").textContent = text;
  drawBox(width, height);
}

function drawBox(width, height) {
  const scale = 34 / Math.max(width, height);
  const box = document.querySelector("[data-shape-box]");
  const sides = { width: width * scale, height: height * scale };
  box.setAttribute("width", sides.width);
  box.setAttribute("height", sides.height);
  box.setAttribute("x", 28 - sides.width / 2);
  box.setAttribute("y", 28 - sides.height / 2);
}
