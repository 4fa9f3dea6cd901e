// What a hidden tab says in its title and by a notification, what a screen reader hears, and the
// toast, which may offer to undo what it tells.
import { isWanted, notify } from "darkroom/notify";
import { say } from "darkroom/strings";

const title = document.title;
const status = document.querySelector("[data-said]");
const toast = document.querySelector("[data-toast]");
const act = toast.querySelector("[data-toast-act]");
const TOAST_MS = 6000;
const TOAST_TO_ACT_MS = 9000;
let finished = 0;
let hiding;

export function announce(sentence) {
  status.textContent = sentence;
}

export function showToast(sentence, { action = "", onAction = null } = {}) {
  toast.querySelector("[data-toast-words]").textContent = sentence;
  act.hidden = !action;
  act.textContent = action;
  act.onclick = () => { toast.hidden = true; onAction(); };
  toast.hidden = false;
  announce(sentence);
  hideLater(action ? TOAST_TO_ACT_MS : TOAST_MS);
}

// Not while somebody points at it or has come to it by keyboard.
function hideLater(after) {
  clearTimeout(hiding);
  hiding = setTimeout(() => {
    if (toast.matches(":hover, :focus-within")) hideLater(after);
    else toast.hidden = true;
  }, after);
}

export function countFinished(tile) {
  announce(say("arrived"));
  if (!document.hidden) return;
  finished += 1;
  document.title = `${say("finished", { count: finished })} · ${title}`;
  if (isWanted()) notifyOf(tile);
}

function notifyOf(tile) {
  const image = tile.querySelector("img");
  const words = finished === 1 ? say("ready") : say("ready_many", { count: finished });
  const onClick = () => document.getElementById(tile.id)?.scrollIntoView({ block: "center" });
  notify(words, { body: image.alt, icon: image.src, onClick });
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  finished = 0;
  document.title = title;
});
