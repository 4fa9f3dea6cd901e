// What the bar does to the selection. The page changes at once where it can, and as it was where
// the server refuses; putting into the bin can be undone.
import { postForm } from "darkroom/api";
import { clear, count, form, selectedTiles, selectsAll } from "darkroom/gallery/selection";
import { toast } from "darkroom/gallery/toast";
import { allTiles, settle } from "darkroom/gallery/wall";
import { say } from "darkroom/strings";

const ZIP_MOST = 2000;

function onSubmit(event) {
  const button = event.submitter;
  if (button?.dataset.act === "zip") return checkZip(event);
  event.preventDefault();
  if (!button?.dataset.act) return;
  if (button.dataset.ask) ask(button);
  else act(button);
}

function checkZip(event) {
  if (count() <= ZIP_MOST) return;
  event.preventDefault();
  toast(say("zip_most", { most: ZIP_MOST.toLocaleString() }), { isBad: true });
}

function ask(button) {
  const dialog = document.getElementById(button.dataset.ask);
  dialog.returnValue = "";
  dialog.onclose = () => { if (dialog.returnValue === "go") act(button); };
  dialog.showModal();
}

export async function act(button) {
  const [kind, tiles, wasAll] = [button.dataset.act, selectedTiles(), selectsAll()];
  if (!tiles.length) return;
  const answer = await send(button.formAction, new FormData(form, button));
  if (!answer) return;
  clear();
  if (kind === "star") for (const tile of tiles) mark(tile, true);
  else if (wasAll) return location.reload();
  else removeTiles(tiles, kind === "bin" ? answer : null);
  if (kind !== "bin") toast(answer.sentence);
}

export async function send(action, body) {
  try {
    return await postForm({ action }, body);
  } catch (error) {
    toast(error.message, { isBad: true });
    return null;
  }
}

export function mark(tile, isFavourite) {
  tile.classList.toggle("is-favourite", isFavourite);
  tile.querySelector("[data-star]")?.setAttribute("aria-pressed", String(isFavourite));
}

// One that is not selected: the focused image, by a key.
export async function binOne(tile) {
  const body = new FormData(form);
  body.set("image", tile.dataset.image);
  body.delete("all");
  const answer = await send(document.querySelector('[data-act="bin"]').formAction, body);
  if (answer) removeTiles([tile], answer);
}

function removeTiles(tiles, binned) {
  const next = neighbour(tiles);
  const places = tiles.map((tile) => ({ tile, day: tile.closest(".day"), before: tile.previousElementSibling, list: tile.parentElement }));
  for (const tile of tiles) tile.remove();
  for (const day of new Set(places.map((place) => place.day))) settle(day);
  recount(-tiles.length);
  if (binned) toast(binned.sentence, { action: say("undo"), onAction: () => undo(binned.at, places) });
  if (next) next.querySelector(".open").focus({ preventScroll: true });
  else if (!binned) location.reload();
}

function neighbour(tiles) {
  const all = allTiles();
  const gone = new Set(tiles);
  return all.slice(all.indexOf(tiles.at(-1))).find((tile) => !gone.has(tile)) ?? all.findLast((tile) => !gone.has(tile));
}

async function undo(at, places) {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.set("at", at);
  const answer = await send(`${document.querySelector('[data-act="bin"]').formAction}undo/`, body);
  if (!answer) return;
  for (const { tile, day, before, list } of places) {
    if (before?.isConnected) before.after(tile);
    else (list.isConnected ? list : day.querySelector(".wall")).prepend(tile);
  }
  for (const day of new Set(places.map((place) => place.day))) settle(day);
  recount(places.length);
  places[0].tile.querySelector(".open").focus({ preventScroll: true });
  toast(say("restored"));
}

function recount(change) {
  const total = document.querySelector("[data-total]");
  const isExact = !total.dataset.counted.endsWith("+");
  if (!isExact) return;
  const now = Math.max(0, Number(total.dataset.total) + change);
  total.dataset.total = now;
  total.dataset.counted = now.toLocaleString();
  total.firstChild.textContent = now.toLocaleString();
}

form?.addEventListener("submit", onSubmit);
