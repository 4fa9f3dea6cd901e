// The start image: what is chosen stands in the form's hidden fields, and is shown beside them.
import { clearWrong, showWrong } from "darkroom/composer";
import { announce } from "darkroom/headline";
import { nearestShape } from "darkroom/settings";
import { bringIntoView, focusInPlace } from "darkroom/standing";
import { watchIntake } from "darkroom/start/intake";
import { showStrength, watchStrength } from "darkroom/start/strength";
import { takeImage, uploadMask, uploadImage, urlOf } from "darkroom/start/upload";
import { say } from "darkroom/strings";

const studio = document.querySelector("[data-studio]");
const panel = document.querySelector("[data-start]");
const brought = [...panel.querySelectorAll("[data-nothing]")];
const NONE = Object.fromEntries(brought.map((one) => [one.name, one.dataset.nothing]));
const USUAL = JSON.parse(panel.dataset.usual); // the strength by mode
const fields = document.getElementById("composer").elements;
const settings = document.getElementById("settings");
const part = (name) => panel.querySelector(`[data-start-${name}]`);
const maskOpener = panel.querySelector("[data-mask-open]");
const maskRemover = panel.querySelector("[data-mask-remove]");
const shortcut = document.querySelector("[data-start-shortcut]");
/** @type {Record<"start" | "mask", HTMLImageElement>} */
let shown = { start: null, mask: null }; // the images that are loaded, by the fields' ids
let newest = 0; // the newest upload: an older one that comes later is not wanted any more
let removed = null;

export function startPanel() {
  watchIntake({ tookFile, tookImage });
  watchStrength(fields);
  part("remove").addEventListener("click", remove);
  part("undo-button").addEventListener("click", undo);
  part("other").addEventListener("click", () => part("file").click());
  maskOpener.addEventListener("click", openMask);
  maskRemover.addEventListener("click", removeMask);
  shortcut.addEventListener("click", () => (fields.start.value ? reveal() : part("file").click()));
  for (const type of ["input", "change"]) settings.addEventListener(type, () => requestAnimationFrame(draw));
  if (studio.dataset.startImage) tookImage(studio.dataset.startImage, { edits: "startEdit" in studio.dataset });
  else show();
}

function tookFile(file) {
  return take((told) => uploadImage(file, told));
}

async function tookImage(image, { edits = false } = {}) {
  await take(() => takeImage(image));
  if (edits && fields.parent.value === image) openMask();
}

async function take(send) {
  const mine = newest += 1;
  clearWrong("start");
  showBusy(0);
  try {
    const made = await send((share) => { if (mine === newest) showBusy(share); });
    if (mine !== newest) return;
    put({ ...NONE, mode: "image", start: made.id, strength: USUAL.image, parent: made.image ?? "" });
    fitShape(made.width_px, made.height_px);
    await show();
    bringIntoView(panel);
    announce(say("start_added"));
  } catch (error) {
    if (mine !== newest) return;
    await show();
    refuse(error);
  }
}

function refuse(error) {
  showWrong(Object.assign(error, { field: "start" }));
}

// Each field tells that it changed: the draft is kept, and a sentence about it goes away.
function put(values) {
  for (const [name, value] of Object.entries(values)) {
    fields[name].value = value;
    fields[name].dispatchEvent(new Event("input", { bubbles: true }));
  }
  removed = null;
}

function showBusy(share) {
  for (const name of ["drop", "ready", "undo"]) part(name).hidden = true;
  part("busy").hidden = false;
  const bar = part("busy").querySelector("progress");
  if (share > 0 && share < 1) bar.value = share;
  else bar.removeAttribute("value");
  part("busy-text").textContent = say(share === 1 ? "start_reading" : "start_sending");
}

// A image of another shape asks for its own, unless the shape is right already.
function fitShape(width, height) {
  const shape = document.querySelector("[data-shape]");
  const wanted = String(nearestShape(width, height));
  if (shape.value === wanted) return;
  shape.value = wanted;
  shape.dispatchEvent(new Event("input", { bubbles: true }));
}

async function show() {
  try {
    shown = { start: await load("start"), mask: await load("mask") };
  } catch {
    put(NONE);
    shown = { start: null, mask: null };
    refuse(new Error(say("start_gone")));
  }
  const has = Boolean(shown.start);
  part("busy").hidden = true;
  part("drop").hidden = has;
  part("ready").hidden = !has;
  part("undo").hidden = !removed;
  part("size").textContent = has ? say("start_size", { width: shown.start.naturalWidth, height: shown.start.naturalHeight }) : "";
  maskOpener.querySelector("span").textContent = say(shown.mask ? "mask_change" : "mask_choose");
  maskRemover.hidden = !shown.mask;
  showShortcut();
  draw();
}

async function load(name) {
  const id = fields[name].value;
  if (!id) return null;
  if (shown[name]?.alt === id) return shown[name];
  const image = new Image();
  image.alt = id;
  image.src = urlOf(id);
  await image.decode();
  return image;
}

function showShortcut() {
  const thumb = shortcut.querySelector("img");
  thumb.hidden = !shown.start;
  if (shown.start) thumb.src = shown.start.src;
  shortcut.classList.toggle("is-set", Boolean(shown.start));
}

function draw() {
  if (shown.start && !part("ready").hidden) showStrength(fields, shown);
}

async function remove() {
  const kept = Object.fromEntries(brought.map((one) => [one.name, one.value]));
  put(NONE);
  removed = kept;
  await show();
  focusInPlace(part("undo-button"));
}

async function undo() {
  put(removed);
  await show();
  focusInPlace(part("remove"));
}

// What the last way of drawing usually takes gives way to what the new one does.
function chooseMode(mode, values) {
  const isUsual = Number(fields.strength.value) === USUAL[fields.mode.value];
  put({ ...values, mode, ...(isUsual ? { strength: USUAL[mode] } : {}) });
  return show();
}

async function removeMask() {
  await chooseMode("image", { mask: "" });
  focusInPlace(maskOpener);
}

async function openMask() {
  const isSheetOpen = settings.matches(":popover-open"); // the window over everything closes it
  try {
    const { paintMask } = await import("darkroom/mask/dialog");
    const made = await paintMask({ image: shown.start, mask: shown.mask, upload: uploadMask });
    if (made) await chooseMode("inpaint", { mask: made.id });
  } catch (error) {
    refuse(error instanceof TypeError ? new Error(say("offline")) : error);
  }
  if (isSheetOpen && !settings.matches(":popover-open")) settings.showPopover();
}

// On a phone the settings are a sheet.
function reveal() {
  if (getComputedStyle(settings).display === "none") settings.showPopover();
  bringIntoView(panel);
  focusInPlace(document.getElementById("strength"));
}
