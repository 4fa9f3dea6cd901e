// The studio page: wires its parts together.
import { postForm } from "darkroom/api";
import { startComposer } from "darkroom/composer";
import { restoreDraft, startDraft } from "darkroom/draft";
import { heardImage, heardProgress, insertGroup, resync } from "darkroom/feed";
import { showToast } from "darkroom/headline";
import { heardBalance, priceChanged, showPrice } from "darkroom/price";
import { showSettings, startSettings } from "darkroom/settings";
import { listen } from "darkroom/stream";
import { startStyles } from "darkroom/styles";

const studio = document.querySelector("[data-studio]");
const form = document.getElementById("composer");
const key = `draft:${studio.dataset.user}`;

const isOwnVisit = !("prefilled" in studio.dataset || "refused" in studio.dataset);
if (isOwnVisit) restoreDraft(form, key);
else history.replaceState(null, "", "/");
const draftChanged = startDraft(form, key);

startComposer();
startStyles();
startSettings(() => { draftChanged(); priceChanged(); });
// Once more: the samplers of the draft's model are on offer only now.
if (isOwnVisit) restoreDraft(form, key);
showPrice();
priceChanged();
form.addEventListener("input", priceChanged);
document.getElementById("settings").addEventListener("input", priceChanged);
for (const choice of document.querySelectorAll('[name="count"]')) choice.addEventListener("change", showPrice);
addEventListener("pageshow", () => { showSettings(); showPrice(); priceChanged(); });

const level = () => resync(heardBalance);
const hear = { image: heardImage, progress: heardProgress, balance: hearBalance };
let held = "";
listen(studio.dataset.events, { heard: (type, event) => hear[type](event), resync: level });

// More is held than before: another tab may have asked for pictures that this page does not show.
function hearBalance(balance) {
  if (Number(balance.held) > Number(held)) level();
  held = balance.held;
  heardBalance(balance);
}

document.addEventListener("submit", async (event) => {
  const sent = event.target;
  if (!sent.matches("[data-quiet], [data-again]")) return;
  event.preventDefault();
  try {
    const answer = await postForm(sent);
    if (answer.html) insertGroup(answer.html).scrollIntoView({ block: "nearest" });
    level();
  } catch (error) {
    showToast(error.message);
  }
});

const prompt = document.getElementById("prompt");
const negative = document.getElementById("negative_prompt");
const ideas = JSON.parse(document.getElementById("ideas").textContent);

function propose(idea) {
  prompt.value = idea;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  prompt.focus();
}

document.querySelector("[data-surprise]").addEventListener("click", () => {
  const others = ideas.filter((idea) => idea !== prompt.value);
  propose(others[Math.floor(Math.random() * others.length)]);
});
for (const chip of document.querySelectorAll("[data-idea]")) {
  chip.addEventListener("click", () => propose(chip.textContent));
}

const words = document.querySelector("[data-negative-words]");
const showWords = () => { words.textContent = negative.value; };
negative.addEventListener("input", showWords);
showWords();
if (matchMedia("(hover: hover)").matches && !location.hash && !("refused" in studio.dataset)) prompt.focus({ preventScroll: true });
