// The list of earlier prompts above the card: searched while typing, a click puts both words in.
import { placeAboveCard, walkByArrows } from "darkroom/card-list";
import { openPast, put } from "darkroom/history";
import { say } from "darkroom/strings";

const popover = document.getElementById("history");
const words = document.getElementById("history-words");
const list = popover.querySelector("[data-past]");
const none = popover.querySelector("[data-none]");
const older = popover.querySelector("[data-older]");
const AT_ONCE = 50;
const SEARCH_AFTER_MS = 200;
// As the pages write a day: Korean has another one for `dateStyle: "medium"`.
const date = new Intl.DateTimeFormat(document.documentElement.lang, { year: "numeric", month: "short", day: "numeric" });
let past = null;
let searching;

export function startHistoryList() {
  popover.addEventListener("beforetoggle", (event) => { if (event.newState === "open") open(); });
  popover.addEventListener("toggle", (event) => {
    if (event.newState === "open" && matchMedia("(hover: hover)").matches) words.focus({ preventScroll: true });
  });
  walkByArrows(popover, words, list);
  words.addEventListener("input", () => {
    clearTimeout(searching);
    searching = setTimeout(search, SEARCH_AFTER_MS);
  });
  older.addEventListener("click", async () => {
    const last = list.lastElementChild;
    await show(past);
    last?.nextElementSibling?.firstElementChild.focus();
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(past.prompts[[...list.children].indexOf(button.parentElement)]);
  });
}

function open() {
  placeAboveCard(popover);
  words.value = "";
  search();
}

function search() {
  past = openPast(words.value.trim());
  list.replaceChildren();
  none.textContent = "";
  older.hidden = true;
  show(past);
}

async function show(asked) {
  try {
    await asked.reach(list.children.length + AT_ONCE);
  } catch (error) {
    if (asked === past) none.textContent = error.message;
    return;
  }
  // Another search was asked for meanwhile.
  if (asked !== past) return;
  list.append(...past.prompts.slice(list.children.length).map(line));
  older.hidden = past.isAll();
  none.textContent = past.prompts.length ? "" : say(words.value.trim() ? "no_such_prompt" : "no_prompt_yet");
}

function line({ prompt, negative_prompt: without, at }) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "past" });
  button.append(part("past-words", prompt));
  if (without) button.append(part("past-not", say("without", { words: without })));
  button.append(part("past-when", date.format(new Date(at))));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function part(className, textContent) {
  return Object.assign(document.createElement("span"), { className, textContent });
}

function choose(one) {
  put(one);
  popover.hidePopover();
  document.getElementById("prompt").focus({ preventScroll: true });
}
