// What is said of images that are not there yet: their place in the queue and the seconds left.
import { say } from "darkroom/strings";

let known = {}; // image id -> place, as the server said last
const banner = document.querySelector("[data-no-worker]");

// What the server said last: `workers` is null where it does not know.
export function heardQueue({ workers, places }) {
  banner.hidden = workers !== 0;
  known = places;
  document.querySelectorAll('[data-image][data-state="queued"]').forEach(placeTile);
  if (workers === 0) document.querySelectorAll('[data-image][data-state="queued"]').forEach(forgetPlace);
}

// The answer to a request comes without places: they may have been heard before it.
export function placeGroup(group) {
  group.querySelectorAll('[data-image][data-state="queued"]').forEach(placeTile);
}

// `left` is a sentence's key and its number, as the server says them.
export function showLeft(tile, left) {
  tile.querySelector("[data-left]").textContent = fillIn(left);
}

function placeTile(tile) {
  const place = known[tile.dataset.image];
  if (place) showPlace(tile, place);
}

function showPlace(tile, { place, sentence, wait }) {
  tell(tile, fillIn([sentence, place]), fillIn(wait));
}

function forgetPlace(tile) {
  tell(tile, say("stage_waiting"), "");
}

function tell(tile, place, wait) {
  tile.querySelector("[data-place]").textContent = place;
  tile.querySelector("[data-wait]").textContent = wait;
}

function fillIn(told) {
  return told ? say(told[0], { n: told[1] }) : "";
}
