// The styles: those of the chosen model, folded to a few, opened by the button or by the arrow keys
// that walk through them.
import { say } from "darkroom/strings";

const ARROWS = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);
const FOLDED = 8;
const { ours, of } = JSON.parse(document.getElementById("page-styles").textContent);
const box = document.querySelector("[data-styles]");
const list = box.querySelector("[data-style-list]");
const none = list.firstElementChild;
const gone = box.querySelector("[data-style-gone]");
const button = box.querySelector("[data-all-styles]");
let shown = of[box.dataset.styles] ?? ours;

export function startStyles() {
  button.addEventListener("click", () => fold("open" in box.dataset));
  list.addEventListener("change", () => { gone.hidden = true; });
  // Before the browser moves the choice: it passes over what is folded away.
  box.addEventListener("keydown", (event) => {
    if (ARROWS.has(event.key) && event.target.matches("[type=radio]")) fold(false);
  }, { capture: true });
}

// A style that the model does not have gives way to none, and the page says so.
export function showStyles(slug, model) {
  const styles = of[slug] ?? ours;
  if (styles === shown) return;
  const chosen = list.querySelector(":checked")?.value ?? "";
  const before = shown.find((one) => one.slug === chosen);
  const isKept = styles.some((one) => one.slug === chosen);
  shown = styles;
  list.replaceChildren(none, ...styles.filter((one) => one.slug).map(tile));
  list.querySelector(`[value="${isKept ? chosen : ""}"]`).checked = true;
  box.hidden = styles.length === 1;
  box.toggleAttribute("data-few", styles.length <= FOLDED);
  gone.hidden = isKept;
  gone.textContent = isKept ? "" : say("style_gone", { model, style: before.name });
}

function tile({ slug, name, sample }) {
  const label = Object.assign(document.createElement("label"), { className: "style" });
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: slug });
  radio.setAttribute("form", "composer");
  const words = Object.assign(document.createElement("span"), { className: "style-name", textContent: name });
  label.append(radio, sample ? image(sample) : letter(name), words);
  return label;
}

function image(src) {
  return Object.assign(new Image(72, 72), { alt: "", loading: "lazy", decoding: "async", src });
}

function letter(name) {
  const span = Object.assign(document.createElement("span"), { className: "no-style no-sample", textContent: name[0] });
  span.setAttribute("aria-hidden", "true");
  return span;
}

function fold(away) {
  box.toggleAttribute("data-open", !away);
  button.setAttribute("aria-expanded", String(!away));
  button.textContent = away ? button.dataset.more : button.dataset.fewer;
}
