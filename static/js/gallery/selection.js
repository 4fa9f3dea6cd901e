// What is selected: the checkboxes say it, or "all of this search", which the server knows.
import { allTiles } from "darkroom/gallery/wall";
import { say } from "darkroom/strings";

export const form = document.querySelector("[data-wall]");
const bar = document.querySelector("[data-selbar]");
const total = document.querySelector("[data-total]");
let anchor = null;
let isAll = false;

const box = (tile) => tile.querySelector(".tick input");
export const isSelected = (tile) => box(tile).checked;
export const selectedTiles = () => allTiles().filter(isSelected);
export const selectsAll = () => isAll;
export const count = () => (isAll ? Number(total.dataset.total) : selectedTiles().length);

export function toggle(tile, checked = !isSelected(tile)) {
  box(tile).checked = checked;
  anchor = tile;
  show();
}

// From where the last choice was made to this tile, all as that one.
export function extendTo(tile) {
  const tiles = allTiles();
  const start = anchor && tiles.includes(anchor) ? tiles.indexOf(anchor) : tiles.indexOf(tile);
  const [first, last] = [start, tiles.indexOf(tile)].sort((a, b) => a - b);
  const checked = anchor ? isSelected(anchor) : true;
  for (const one of tiles.slice(first, last + 1)) box(one).checked = checked;
  show();
}

export function startAt(tile) {
  anchor = tile;
  box(tile).checked = true;
}

export function selectAll() {
  for (const tile of allTiles()) box(tile).checked = true;
  isAll = true;
  show();
}

export function clear() {
  for (const tile of allTiles()) box(tile).checked = false;
  isAll = false;
  anchor = null;
  show();
}

export function show() {
  const tiles = allTiles();
  const selected = tiles.filter(isSelected);
  if (selected.length < tiles.length) isAll = false;
  for (const tile of tiles) tile.classList.toggle("selected", isSelected(tile));
  form.classList.toggle("selecting", selected.length > 0);
  bar.querySelector("[data-selected]").textContent = words(selected.length);
  bar.querySelector("[data-all]").hidden = isAll || Number(total.dataset.total) <= selected.length;
}

function words(selected) {
  if (!selected) return "";
  if (isAll) return say("selected", { count: total.dataset.counted });
  return selected === 1 ? say("selected_one") : say("selected", { count: selected });
}

// However many are picked, it is one field.
function compact(event) {
  event.formData.delete("image");
  if (isAll) event.formData.set("all", "1");
  else event.formData.set("image", selectedTiles().map((tile) => tile.dataset.image).join(","));
}

function onClick(event) {
  const tile = event.target.closest(".tile");
  if (!tile || event.target.closest(".over, .star") || event.ctrlKey || event.metaKey) return;
  const onTick = event.target.closest(".tick");
  const onImage = event.target.closest(".open");
  if (event.shiftKey && (onTick || onImage)) {
    event.preventDefault();
    if (!anchor) startAt(tile);
    extendTo(tile);
  } else if (onImage && form.classList.contains("selecting")) {
    event.preventDefault();
    toggle(tile);
  }
}

if (form) {
  form.addEventListener("click", onClick);
  form.addEventListener("change", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) toggle(tile, event.target.checked);
  });
  form.addEventListener("formdata", compact);
  form.addEventListener("grown", () => {
    if (isAll) selectAll();
  });
  bar.querySelector("[data-all]").addEventListener("click", selectAll);
  bar.querySelector("[data-clear]").addEventListener("click", clear);
  show();
}
