// What is said of images that are not there yet: their place in the queue and the seconds left.
import { say } from "darkroom/strings";

let known = {}; // image id -> place, as the server said last
const banner = document.querySelector("[data-no-worker]");
const more = document.querySelector("[data-more-waiting]");
const queuedTiles = () => document.querySelectorAll('[data-image][data-state="queued"]');

// What the server said last: `workers` is null where it does not know. `waiting` counts all of the
// visitor's queued images, of which `places` has the first ones.
export function heardQueue({ workers, waiting, places }) {
  banner.hidden = workers !== 0;
  known = places;
  queuedTiles().forEach(workers === null ? placeTile : placeOrForget);
  tellMore(waiting - queuedTiles().length);
}

function placeOrForget(tile) {
  forgetPlace(tile);
  placeTile(tile);
}

// Of older requests, which the page does not show.
function tellMore(count) {
  more.hidden = count <= 0;
  const number = count.toLocaleString(document.documentElement.lang);
  more.textContent = say(count === 1 ? "more_waiting_one" : "more_waiting", { count: number });
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
