// Everything that the chosen model knows, above the card: searched while typing, a click adds a word.
import { getJson } from "darkroom/api";
import { placeAboveCard, walkByArrows } from "darkroom/card-list";
import { say } from "darkroom/strings";
import { addWords } from "darkroom/vocabulary/writing";

const popover = document.getElementById("vocabulary");
const search = document.getElementById("vocabulary-words");
const list = popover.querySelector("[data-things]");
const styles = popover.querySelector("[data-own-styles]");
const told = popover.querySelector("[data-told]");
const title = popover.querySelector("[data-vocab-model]");
const model = document.getElementById("model");
const { compare } = new Intl.Collator(document.documentElement.lang);
let shown = ""; // the slug of the model whose words are shown

export function startList() {
  popover.addEventListener("beforetoggle", (event) => { if (event.newState === "open") open(); });
  popover.addEventListener("toggle", (event) => {
    if (event.newState === "open" && matchMedia("(hover: hover)").matches) search.focus({ preventScroll: true });
  });
  walkByArrows(popover, search, list);
  search.addEventListener("input", narrow);
  list.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    popover.hidePopover();
    addWords(button.textContent);
  });
}

function open() {
  placeAboveCard(popover);
  search.value = "";
  if (shown === model.value) narrow();
  else load(model.value);
}

async function load(slug) {
  shown = slug;
  list.replaceChildren();
  styles.replaceChildren();
  told.textContent = "";
  try {
    const words = await getJson(popover.dataset.url.replace("/-/", `/${slug}/`));
    if (shown === slug) show(words);
  } catch (error) {
    if (shown !== slug) return;
    told.textContent = error.message;
    shown = "";
  }
}

function show(words) {
  title.textContent = words.model;
  list.replaceChildren(...words.things.sort(compare).map(thing));
  styles.replaceChildren(...words.styles.map((name) => Object.assign(document.createElement("li"), { textContent: name })));
  styles.closest("[data-style-part]").hidden = !words.styles.length;
  narrow();
}

function thing(name) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: name });
  button.setAttribute("aria-label", say("words_add", { word: name }));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function narrow() {
  const wanted = search.value.trim().toLowerCase().normalize();
  for (const item of list.children) item.hidden = !item.textContent.includes(wanted);
  const count = [...list.children].filter((item) => !item.hidden).length;
  told.textContent = wanted ? say("words_found", { count }) : "";
}
