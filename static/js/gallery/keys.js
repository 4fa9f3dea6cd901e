// The wall by keyboard: arrows walk, Space selects, Shift+arrows select a range, F marks, Del bins.
import { act, binOne } from "darkroom/gallery/acts";
import { clear, count, extendTo, form, selectAll, startAt, toggle } from "darkroom/gallery/selection";
import { star } from "darkroom/gallery/star";
import { allTiles } from "darkroom/gallery/wall";
import { letterOf } from "darkroom/letters";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };
const LIST_LENGTH = 60;

function onKey(event) {
  if (document.querySelector("dialog[open]") || event.target.matches("input:not([type=checkbox]), textarea, select")) return;
  const tile = event.target.closest(".tile");
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (!isPlain) return onControl(event, tile);
  if (event.key === "Escape" && count()) return use(event, clear);
  if (letterOf(event) === "f") return use(event, () => favourite(tile));
  if (event.key === "Delete" && (count() || tile)) return use(event, () => bin(tile));
  if (tile && STEPS[event.key]) return use(event, () => walk(tile, event.key, event.shiftKey));
  if (event.key === " " && event.target.matches(".open")) return use(event, () => toggle(tile));
}

function onControl(event, tile) {
  if (tile && letterOf(event) === "a" && !event.altKey && !event.shiftKey) use(event, selectAll);
}

function use(event, what) {
  event.preventDefault();
  what();
}

function walk(tile, key, isRange) {
  const next = key.endsWith("t") ? beside(tile, STEPS[key]) : above(tile, STEPS[key]);
  if (!next) return;
  if (isRange && !count()) startAt(tile);
  next.querySelector(".open").focus();
  if (isRange) extendTo(next);
}

function beside(tile, step) {
  const tiles = allTiles();
  return tiles[tiles.indexOf(tile) + step];
}

// The nearest one in the row above or below; only that far is looked.
function above(tile, step) {
  const tiles = allTiles();
  const from = tiles.indexOf(tile);
  const row = (one) => Math.round(one.getBoundingClientRect().top);
  const ahead = step > 0 ? tiles.slice(from + 1, from + LIST_LENGTH) : tiles.slice(Math.max(0, from - LIST_LENGTH), from).reverse();
  const first = ahead.find((one) => row(one) !== row(tile));
  if (!first) return null;
  const away = (one) => Math.abs(one.getBoundingClientRect().left - tile.getBoundingClientRect().left);
  return ahead.filter((one) => row(one) === row(first)).reduce((best, one) => (away(one) < away(best) ? one : best));
}

function favourite(tile) {
  const button = document.querySelector('[data-act="star"]');
  if (count() && button) act(button);
  else if (tile?.querySelector("[data-star]")) star(tile);
}

function bin(tile) {
  const button = document.querySelector('[data-act="bin"]');
  if (!button) return;
  if (count()) act(button);
  else binOne(tile);
}

if (form) document.addEventListener("keydown", onKey);
