// The styles: folded to a few, opened by the button or by the arrow keys that walk through them.
const ARROWS = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);
const box = document.querySelector("[data-styles]");
const button = box.querySelector("[data-all-styles]");

export function startStyles() {
  button.addEventListener("click", () => fold("open" in box.dataset));
  // Before the browser moves the choice: it passes over what is folded away.
  box.addEventListener("keydown", (event) => {
    if (ARROWS.has(event.key) && event.target.matches("[type=radio]")) fold(false);
  }, { capture: true });
}

function fold(away) {
  box.toggleAttribute("data-open", !away);
  button.setAttribute("aria-expanded", String(!away));
  button.textContent = away ? button.dataset.more : button.dataset.fewer;
}
