// Prompts for whoever does not know where to begin; they suit the model that is chosen.
import { focusInPlace } from "darkroom/standing";

const { lists, of, shown } = JSON.parse(document.getElementById("ideas").textContent);
const model = document.getElementById("model");
const prompt = document.getElementById("prompt");
const box = document.querySelector("[data-ideas]");
let kind = of[model.value];

export function startIdeas() {
  document.querySelector("[data-surprise]").addEventListener("click", surprise);
  box?.addEventListener("click", ({ target }) => { if (target.matches("[data-idea]")) propose(target.textContent); });
  model.addEventListener("change", showChips);
  showChips();
}

function propose(idea) {
  prompt.value = idea;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  focusInPlace(prompt);
}

// Another one than stands there already, unless the model knows no other.
function surprise() {
  const ideas = lists[of[model.value] ?? "rich"];
  const others = ideas.filter((idea) => idea !== prompt.value);
  propose(others[Math.floor(Math.random() * others.length)] ?? ideas[0]);
}

function showChips() {
  const now = of[model.value];
  if (!box || !now || now === kind) return;
  kind = now;
  box.replaceChildren(...lists[kind].slice(0, shown).map(chip));
}

function chip(idea) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: idea });
  button.dataset.idea = "";
  const item = document.createElement("li");
  item.append(button);
  return item;
}
