// On every page: ? opens the help, Ctrl/Cmd+K leads to the search of the gallery.
import { letterOf } from "darkroom/letters";
import { startNotifySetting } from "darkroom/notify-setting";

const dialog = document.getElementById("help");
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
const SEARCH = "/gallery/#search-words";

if (dialog) {
  if (isMac) for (const key of document.querySelectorAll("[data-mod]")) key.textContent = "⌘";
  for (const button of document.querySelectorAll("[data-help]")) button.addEventListener("click", open);
  // A click beside the dialog lands on the dialog itself.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.addEventListener("keydown", onKey);
  startNotifySetting(dialog.querySelector("[data-notify]"));
}

function onKey(event) {
  if (event.defaultPrevented) return;
  if (event.key === "?" && !isTyping(event) && !event.ctrlKey && !event.metaKey) toggle(event);
  else if (letterOf(event) === "k" && isModOnly(event)) search(event);
}

const isTyping = (event) => event.target.closest?.("input:not([type=checkbox], [type=radio], [type=range]), textarea, select");
const isModOnly = (event) => (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;

function toggle(event) {
  const other = document.querySelector("dialog[open]");
  if (other && other !== dialog) return;
  event.preventDefault();
  if (dialog.open) dialog.close();
  else open();
}

function open() {
  document.querySelector(".menu:popover-open")?.hidePopover();
  dialog.showModal();
}

// The gallery listens for itself.
function search(event) {
  if (document.querySelector("[data-search]")) return;
  event.preventDefault();
  location.assign(SEARCH);
}
