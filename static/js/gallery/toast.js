// A sentence that comes and goes, perhaps with a way to undo what it tells.
const SECONDS = 9;
const toasts = document.querySelector("[data-toasts]");

export function toast(sentence, { action = "", onAction = null, isBad = false } = {}) {
  const line = document.createElement("p");
  line.className = isBad ? "toast-line bad" : "toast-line";
  line.append(Object.assign(document.createElement("span"), { textContent: sentence }));
  if (action) line.append(button(line, action, onAction));
  toasts.append(line);
  while (toasts.children.length > 3) toasts.firstElementChild.remove();
  leaveLater(line);
}

function button(line, action, onAction) {
  const made = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: action });
  made.addEventListener("click", () => { line.remove(); onAction(); });
  return made;
}

// Not while somebody points at it or has come to it by keyboard.
function leaveLater(line) {
  setTimeout(() => (line.matches(":hover, :focus-within") ? leaveLater(line) : line.remove()), SECONDS * 1000);
}
