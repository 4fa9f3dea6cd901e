// The settings: sliders that drive the fields, the shape, and what changes with the model.
import { RATIOS, nearestRatio, ratioText, sizeFor } from "darkroom/shapes";

const models = JSON.parse(document.getElementById("models").textContent);
const field = (name) => document.getElementById(name);
const shape = document.querySelector("[data-shape]");
const current = () => models[field("model").value];

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
  const share = (slider.value - slider.min) / (slider.max - slider.min);
  slider.style.setProperty("--at", `${100 * share}%`);
}

function chooseModel() {
  const kept = RATIOS[shape.value];
  for (const [name, value] of Object.entries(current().values)) if (name !== "sampler") field(name).value = value;
  showModel(current().values.sampler);
  const isOwnShape = nearestRatio(Number(field("width").value), Number(field("height").value)) === Number(shape.value);
  if (!isOwnShape) [field("width").value, field("height").value] = sizeFor(kept, current());
  showShape();
  document.querySelectorAll("[data-drives]").forEach(showSlider);
}

function showModel(sampler = field("sampler").value) {
  const model = current();
  document.querySelector("[data-summary]").textContent = model.summary;
  document.querySelector('[data-drives="steps"]').max = model.max_steps;
  const options = model.samplers.map(([slug, name]) => new Option(name, slug, false, slug === sampler));
  field("sampler").replaceChildren(...options);
  // A model that takes no negative prompt refuses one: then the field is away, its words are kept.
  document.querySelector("[data-negative]").hidden = !model.uses_negative_prompt;
  field("negative_prompt").disabled = !model.uses_negative_prompt;
}

function chooseShape() {
  if (!current()) return;
  [field("width").value, field("height").value] = sizeFor(RATIOS[shape.value], current());
  showShape();
}

function showShape() {
  const [width, height] = [Number(field("width").value), Number(field("height").value)];
  if (!(width > 0 && height > 0)) return;
  shape.value = nearestRatio(width, height);
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
