// One picture: arrow keys turn the page, and deleting asks first.
const KEYS = { ArrowLeft: "[data-newer]", ArrowRight: "[data-older]" };
const opener = document.querySelector("[data-ask]");

document.addEventListener("keydown", (event) => {
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
  if (isPlain && KEYS[event.key] && !document.querySelector("dialog[open]")) document.querySelector(KEYS[event.key])?.click();
});

opener?.addEventListener("click", (event) => {
  event.preventDefault();
  const dialog = document.getElementById(opener.dataset.ask);
  dialog.showModal();
  dialog.querySelector("[data-keep]").onclick = (keep) => { keep.preventDefault(); dialog.close(); };
});
