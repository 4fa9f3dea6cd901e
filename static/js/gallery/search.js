// Ctrl/Cmd+K looks for images; a choice among the filters is applied at once.
import { letterOf } from "darkroom/letters";

const form = document.querySelector("[data-search]");

document.addEventListener("keydown", (event) => {
  if (letterOf(event) !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
  event.preventDefault();
  form.elements.q.focus();
  form.elements.q.select();
});

// Fields that say nothing stay out of the address.
form.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (!value.trim()) event.formData.delete(name);
});

const narrow = document.querySelector("[data-narrow]");

narrow?.addEventListener("change", (event) => {
  if (event.target.matches("select")) form.requestSubmit();
});

narrow?.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !narrow.open) return;
  event.stopPropagation();
  narrow.open = false;
  narrow.querySelector("summary").focus();
});

document.addEventListener("click", (event) => {
  if (narrow?.open && !narrow.contains(event.target)) narrow.open = false;
});
