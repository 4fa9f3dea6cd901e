// The feed: what the server says is the truth, and this keeps the page level with it.
import { getHtml, getJson } from "darkroom/api";
import { isConnectionError } from "darkroom/connection";
import { showToast } from "darkroom/headline";
import { heardQueue, placeGroup } from "darkroom/places";
import { mergeGroup, parseGroup, showProgress } from "darkroom/tiles";

const studio = document.querySelector("[data-studio]");
const feed = document.querySelector("[data-feed]");
const TOGETHER_MS = 80;
const MOST_IDS = 200;
const waiting = new Map(); // generation id -> timer: several news of one group are one fetch
let told = false;

const groupOf = (id) => document.getElementById(`generation-${id}`);
const tileOf = (id) => document.getElementById(`image-${id}`);
const liveTiles = () => [...feed.querySelectorAll('[data-state="queued"], [data-state="running"]')];

export function insertGroup(html) {
  const fresh = parseGroup(html);
  const shown = groupOf(fresh.dataset.generation);
  if (shown) {
    mergeGroup(shown, fresh);
    return shown;
  }
  fresh.classList.add("is-new");
  const older = [...feed.children].find((group) => group.dataset.created < fresh.dataset.created);
  feed.insertBefore(fresh, older ?? null);
  placeGroup(fresh);
  document.querySelector("[data-empty]").hidden = true;
  document.querySelector("[data-feed-end]").hidden = false;
  return fresh;
}

function refresh(generation) {
  if (waiting.has(generation)) return;
  waiting.set(generation, setTimeout(() => fetchGroup(generation), TOGETHER_MS));
}

async function fetchGroup(generation) {
  waiting.delete(generation);
  await quietly(async () => insertGroup(await getHtml(`${studio.dataset.generations}${generation}/`)));
}

export function heardImage(facts) {
  const tile = tileOf(facts.id);
  if (tile?.dataset.version !== `${facts.state}-${facts.attempt}`) refresh(facts.generation);
}

export function heardProgress(event) {
  const tile = tileOf(event.id);
  if (tile?.dataset.state === "running") showProgress(tile, event);
  else if (!tile || tile.dataset.state === "queued") refresh(event.generation);
}

// Asks for everything that is live, here or in another tab, and draws anew what differs. Raises
// what the request raises: whoever asks knows what to say of it. `isOvertaken` is `listen`'s.
export async function resync(heardBalance, isOvertaken) {
  const ids = liveTiles().map((tile) => tile.dataset.image).slice(0, MOST_IDS);
  const state = await getJson(`${studio.dataset.state}?ids=${ids.join(",")}`);
  // Somebody else signed in, in another tab: nothing here is theirs.
  if (state.user !== studio.dataset.user) return location.reload();
  if (!isOvertaken("balance", {})) heardBalance(state.balance);
  state.images.forEach(heardImage);
  Object.values(state.progress).filter((event) => !isOvertaken("progress", event)).forEach(heardProgress);
  if (!isOvertaken("places", {})) heardQueue(state.queue);
  const known = new Set(state.images.map((facts) => facts.id));
  liveTiles().filter((tile) => ids.includes(tile.dataset.image) && !known.has(tile.dataset.image))
    .forEach((tile) => refresh(tile.closest("[data-generation]").dataset.generation));
}

// News come again: one failure is told once, and forgotten when the server answers. What is the
// matter with the connection is told elsewhere.
async function quietly(work) {
  try {
    await work();
    told = false;
  } catch (error) {
    if (!told && error.code !== "not_found" && !isConnectionError(error)) showToast(error.message);
    told = true;
  }
}
