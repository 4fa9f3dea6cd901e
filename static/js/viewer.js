// One image: arrow keys turn the page, words are copied, and deleting asks first.
const KEYS = { ArrowLeft: "[data-newer]", ArrowRight: "[data-older]" };
const TOLD_MS = 1800;
const opener = document.querySelector("[data-ask]");

document.addEventListener("keydown", (event) => {
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (!isPlain || isTyping || document.querySelector("dialog[open]")) return;
  if (KEYS[event.key]) document.querySelector(KEYS[event.key])?.click();
});

opener?.addEventListener("click", (event) => {
  event.preventDefault();
  const dialog = document.getElementById(opener.dataset.ask);
  dialog.showModal();
  dialog.querySelector("[data-keep]").onclick = (keep) => { keep.preventDefault(); dialog.close(); };
});

document.querySelectorAll("[data-copy]").forEach((button) => {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    tell(button, await copy(source) ? button.dataset.copied : button.dataset.selected);
  });
});

// Without a secure address there is no clipboard: then the words are selected, ready for the keys.
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return false;
  }
}

function tell(button, words) {
  const told = document.querySelector("[data-told]");
  told.textContent = words;
  button.classList.add("is-done");
  setTimeout(() => { told.textContent = ""; button.classList.remove("is-done"); }, TOLD_MS);
}
