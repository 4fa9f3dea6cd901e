// The feed by keyboard: arrows walk from image to image, F marks a favourite, Del puts into the
// bin, which can be undone.
import { getHtml, postForm } from "darkroom/api";
import { showToast } from "darkroom/headline";
import { letterOf } from "darkroom/letters";
import { say } from "darkroom/strings";
import { parseGroup } from "darkroom/tiles";

const studio = document.querySelector("[data-studio]");
const feed = document.querySelector("[data-feed]");
const form = document.getElementById("composer");
const SIDEWAYS = { ArrowLeft: -1, ArrowRight: 1 };
const UPRIGHT = { ArrowUp: -1, ArrowDown: 1 };
const KEYS = { f: star, delete: bin };

const images = () => [...feed.querySelectorAll(".open")];

export function startFeedKeys() {
  document.addEventListener("keydown", onKey);
  feed.addEventListener("click", (event) => {
    const button = event.target.closest("[data-star]");
    if (button) star(button.closest(".tile"));
  });
}

function onKey(event) {
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
  if (!isPlain || document.querySelector("dialog[open], :popover-open")) return;
  const tile = event.target.closest?.("[data-feed] .tile.stored");
  const next = tile ? step(tile.querySelector(".open"), event.key) : enter(event);
  if (next) {
    event.preventDefault();
    next.focus();
  } else if (tile && KEYS[letterOf(event)]) {
    event.preventDefault();
    KEYS[letterOf(event)](tile);
  }
}

// From nowhere on the page, an arrow to the side leads to the first image in view.
function enter(event) {
  if (!SIDEWAYS[event.key] || event.target !== document.body) return null;
  const inView = (one) => one.getBoundingClientRect().bottom > 0;
  return images().find(inView) ?? null;
}

function step(from, key) {
  if (SIDEWAYS[key]) return images()[images().indexOf(from) + SIDEWAYS[key]];
  return UPRIGHT[key] ? nearest(from, UPRIGHT[key]) : null;
}

// The nearest image of the next row up or down, whatever group it is in.
function nearest(from, way) {
  const here = from.getBoundingClientRect();
  const away = (one) => {
    const box = one.getBoundingClientRect();
    return { one, rows: way * (box.top - here.top), aside: Math.abs(box.left - here.left) };
  };
  const ahead = images().map(away).filter(({ rows }) => rows > 1);
  const row = Math.min(...ahead.map(({ rows }) => rows));
  return ahead.filter(({ rows }) => rows < row + 1).sort((a, b) => a.aside - b.aside)[0]?.one;
}

async function star(tile) {
  const wanted = !tile.classList.contains("is-favourite");
  mark(tile, wanted);
  const answer = await send(studio.dataset.favourites, { image: tile.dataset.image, on: wanted ? "1" : "0" });
  if (!answer) mark(tile, !wanted);
}

function mark(tile, isFavourite) {
  tile.classList.toggle("is-favourite", isFavourite);
  tile.querySelector("[data-star]").setAttribute("aria-pressed", String(isFavourite));
}

async function bin(tile) {
  const all = images();
  const place = all.indexOf(tile.querySelector(".open"));
  const answer = await send(studio.dataset.bin, { image: tile.dataset.image });
  if (!answer) return;
  (all[place + 1] ?? all[place - 1])?.focus();
  const redrawn = await redraw(tile);
  showToast(answer.sentence, { action: say("undo"), onAction: () => undo(redrawn, answer.at) });
}

async function undo(tile, at) {
  if (!(await send(studio.dataset.undo, { at }))) return;
  (await redraw(tile)).querySelector(".open")?.focus();
}

async function send(action, fields) {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  try {
    return await postForm({ action }, body);
  } catch (error) {
    showToast(error.message);
    return null;
  }
}

// The bin is no state of the image's: news of it do not come by themselves.
async function redraw(tile) {
  const generation = tile.closest("[data-generation]").dataset.generation;
  const group = parseGroup(await getHtml(`${studio.dataset.generations}${generation}/`));
  const fresh = group.querySelector(`#${tile.id}`);
  tile.replaceWith(fresh);
  return fresh;
}
