// What a hidden tab says in its title, and what a screen reader hears.
import { say } from "darkroom/strings";

const title = document.title;
const status = document.querySelector("[data-said]");
const toast = document.querySelector("[data-toast]");
const TOAST_MS = 6000;
let finished = 0;
let hiding;

export function announce(sentence) {
  status.textContent = sentence;
}

export function showToast(sentence) {
  toast.textContent = sentence;
  toast.hidden = false;
  announce(sentence);
  clearTimeout(hiding);
  hiding = setTimeout(() => { toast.hidden = true; }, TOAST_MS);
}

export function countFinished() {
  announce(say("arrived"));
  if (!document.hidden) return;
  finished += 1;
  document.title = `${say("finished", { count: finished })} · ${title}`;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  finished = 0;
  document.title = title;
});
