// What is said of pictures that are not there yet: their place in the queue and the seconds left.
import { say } from "darkroom/strings";

const MINUTE_S = 60;
const HOUR_S = 3600;
const EXACT_S = 10;
const ROUND_S = 5;
const ordinal = new Intl.PluralRules("en", { type: "ordinal" });
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

export function showLeft(tile, seconds) {
  tile.querySelector("[data-left]").textContent = seconds === null || seconds === undefined ? "" : sayAbout("left", seconds);
}

function placeTile(tile) {
  const place = known[tile.dataset.image];
  if (place) showPlace(tile, place);
}

function showPlace(tile, { place, seconds }) {
  tell(tile, sayPlace(place), seconds === null ? "" : sayAbout("about", seconds));
}

function forgetPlace(tile) {
  tell(tile, say("stage_waiting"), "");
}

function tell(tile, place, wait) {
  tile.querySelector("[data-place]").textContent = place;
  tile.querySelector("[data-wait]").textContent = wait;
}

function sayPlace(number) {
  if (number === null) return say("place_none");
  return number === 1 ? say("place_next") : say(`place_${ordinal.select(number)}`, { n: number });
}

// Upwards, and no finer than it is known.
function sayAbout(start, seconds) {
  const inFives = Math.ceil(seconds / ROUND_S) * ROUND_S;
  if (seconds <= EXACT_S) return say(`${start}_s`, { n: Math.max(1, Math.ceil(seconds)) });
  if (inFives < MINUTE_S) return say(`${start}_s`, { n: inFives });
  if (seconds <= HOUR_S - MINUTE_S) return say(`${start}_min`, { n: Math.ceil(seconds / MINUTE_S) });
  return say(`${start}_h`, { n: Math.ceil(seconds / HOUR_S) });
}
