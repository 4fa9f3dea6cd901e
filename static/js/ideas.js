// Prompts for whoever does not know where to begin; they suit the model that is chosen.
import { focusInPlace } from "darkroom/standing";

const { lists, of, shown } = JSON.parse(document.getElementById("ideas").textContent);
const model = document.getElementById("model");
const prompt = document.getElementById("prompt");
const chips = [...document.querySelectorAll("[data-idea]")];
let kind = of[model.value];

export function startIdeas() {
  document.querySelector("[data-surprise]").addEventListener("click", surprise);
  for (const chip of chips) chip.addEventListener("click", () => propose(chip.textContent));
  model.addEventListener("change", showChips);
  showChips();
}

function propose(idea) {
  prompt.value = idea;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  focusInPlace(prompt);
}

function surprise() {
  const others = lists[of[model.value] ?? "rich"].filter((idea) => idea !== prompt.value);
  propose(others[Math.floor(Math.random() * others.length)]);
}

function showChips() {
  const now = of[model.value];
  if (!now || now === kind) return;
  kind = now;
  lists[kind].slice(0, shown).forEach((idea, number) => { if (chips[number]) chips[number].textContent = idea; });
}
