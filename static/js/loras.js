// The LoRAs that suit the chosen model: a click puts one into the prompt, with the words that call
// it up, and another takes its tag out.
import { placeAboveCard, walkByArrows } from "darkroom/card-list";
import { say } from "darkroom/strings";
import { addWords, replaceAll } from "darkroom/vocabulary/writing";

const popover = document.getElementById("loras");
const search = document.getElementById("loras-words");
const list = popover.querySelector("[data-loras]");
const told = popover.querySelector("[data-told]");
const prompt = document.getElementById("prompt");
const TAG = /\s*<lora:([^<>:]*)(?::[^<>:]*)*>/gi;
let shown = [];

export function startLoras() {
  popover.addEventListener("beforetoggle", (event) => { if (event.newState === "open") open(); });
  popover.addEventListener("toggle", (event) => {
    if (event.newState === "open" && matchMedia("(hover: hover)").matches) search.focus({ preventScroll: true });
  });
  walkByArrows(popover, search, list);
  search.addEventListener("input", narrow);
}

// Without any the way to them is away.
export function showLoras(loras) {
  shown = loras;
  document.querySelector("[data-loras-open]").hidden = !loras.length;
  if (!loras.length && popover.matches(":popover-open")) popover.hidePopover();
}

function open() {
  placeAboveCard(popover);
  search.value = "";
  list.replaceChildren(...shown.map(card));
  narrow();
}

// Names count as their slugs do: Add_Detail is add-detail.
const slugOf = (name) => name.toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 64);

const placesOf = (slug) =>
  [...prompt.value.matchAll(TAG)].filter(([, name]) => slugOf(name) === slug).map((tag) => [tag.index, tag.index + tag[0].length]);

function card(lora) {
  const isIn = placesOf(lora.slug).length > 0;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "lora" });
  button.setAttribute("aria-pressed", String(isIn));
  button.append(
    part("lora-name", lora.name),
    part("lora-more", [lora.summary, lora.words && say("lora_words", { words: lora.words })].filter(Boolean).join(" · ")),
    part("lora-state", isIn ? say("lora_in") : `× ${lora.weight}`),
  );
  button.addEventListener("click", () => { popover.hidePopover(); toggle(lora); });
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function part(className, textContent) {
  return Object.assign(document.createElement("span"), { className, textContent });
}

function toggle(lora) {
  const places = placesOf(lora.slug);
  if (places.length) return replaceAll(places, "");
  const isSaid = !lora.words || prompt.value.includes(lora.words);
  addWords(isSaid ? lora.tag : `${lora.words} ${lora.tag}`);
}

function narrow() {
  const wanted = search.value.trim().toLowerCase();
  for (const item of list.children) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  const count = [...list.children].filter((item) => !item.hidden).length;
  told.textContent = wanted ? say("words_found", { count }) : "";
}
