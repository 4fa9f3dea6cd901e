// One group of the feed: puts a fresh rendering in place of what changed, and shows progress.
import { announce, countFinished } from "darkroom/headline";
import { showLeft } from "darkroom/places";
import { say } from "darkroom/strings";

const LIVE = new Set(["queued", "running"]);
const MOST_BLUR_PX = 10;

export function parseGroup(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.querySelector("[data-generation]");
}

export function mergeGroup(shown, fresh) {
  const tiles = [...fresh.querySelectorAll("[data-image]")];
  const kept = new Set(tiles.map((tile) => tile.id));
  const changed = tiles.map((tile) => mergeTile(shown, tile));
  const gone = [...shown.querySelectorAll("[data-image]")].filter((tile) => !kept.has(tile.id));
  gone.forEach((tile) => tile.remove());
  if (gone.length || changed.includes(true)) {
    swap(shown.querySelector("[data-head]"), fresh.querySelector("[data-head]"));
  }
}

function mergeTile(shown, tile) {
  const old = shown.querySelector(`#${tile.id}`);
  if (!old || old.dataset.version === tile.dataset.version) return false;
  if (LIVE.has(old.dataset.state)) greet(tile);
  swap(old, tile);
  return true;
}

function greet(tile) {
  if (tile.dataset.state === "stored") {
    tile.classList.add("is-fresh");
    countFinished(tile);
  } else if (tile.dataset.state === "failed") {
    announce(say("ended_without"));
  }
}

// Keeps the keyboard's place: focus goes to the same control, or to the first one that is left.
function swap(old, fresh) {
  const held = old.contains(document.activeElement) ? document.activeElement : null;
  old.replaceWith(fresh);
  if (!held) return;
  const controls = [...fresh.querySelectorAll("a, button")];
  const name = held.getAttribute("aria-label");
  (controls.find((one) => one.getAttribute("aria-label") === name) ?? controls[0])?.focus();
}

export function showProgress(tile, { stage, step, steps, preview, left }) {
  const bar = tile.querySelector("progress");
  const developing = stage === "denoising" && step;
  tile.querySelector("[data-step]").textContent = developing ? say("step", { step, steps }) : say(`stage_${stage}`);
  showLeft(tile, developing ? left : null);
  if (stage === "decoding") step = steps;
  bar.max = steps || 1;
  bar.value = step;
  if (preview) showPreview(tile, preview, step / (steps || 1));
}

function showPreview(tile, preview, share) {
  const image = tile.querySelector("[data-preview]");
  image.src = preview;
  image.hidden = false;
  image.style.setProperty("--blur", `${Math.max(1, MOST_BLUR_PX * (1 - share))}px`);
}
