// The studio page: wires its parts together.
import { postForm } from "darkroom/api";
import { startComposer } from "darkroom/composer";
import { restoreDraft, startDraft } from "darkroom/draft";
import { startFeedKeys } from "darkroom/feed-keys";
import { heardImage, heardProgress, insertGroup, resync } from "darkroom/feed";
import { showToast } from "darkroom/headline";
import { startHistory } from "darkroom/history";
import { startHistoryList } from "darkroom/history-list";
import { startIdeas } from "darkroom/ideas";
import { startLoras } from "darkroom/loras";
import { heardQueue } from "darkroom/places";
import { heardBalance, priceChanged, showPrice } from "darkroom/price";
import { showSettings, startSettings } from "darkroom/settings";
import { startSheet } from "darkroom/sheet";
import { startPanel } from "darkroom/start/panel";
import { listen } from "darkroom/stream";
import { startStyles } from "darkroom/styles";
import { startLine } from "darkroom/vocabulary/line";
import { startList } from "darkroom/vocabulary/list";

const studio = document.querySelector("[data-studio]");
const form = document.getElementById("composer");
const key = `draft:${studio.dataset.user}`;

const isOwnVisit = !("prefilled" in studio.dataset || "refused" in studio.dataset || "startImage" in studio.dataset);
if (isOwnVisit) restoreDraft(form, key);
else history.replaceState(null, "", "/");
const draftChanged = startDraft(form, key);

startComposer();
startStyles();
startLoras();
startSettings(() => { draftChanged(); priceChanged(); });
// Once more: the samplers of the draft's model are on offer only now.
if (isOwnVisit) restoreDraft(form, key);
startPanel();
showPrice();
priceChanged();
form.addEventListener("input", priceChanged);
document.getElementById("settings").addEventListener("input", priceChanged);
for (const choice of document.querySelectorAll('[name="count"]')) choice.addEventListener("change", showPrice);
addEventListener("pageshow", () => { showSettings(); showPrice(); priceChanged(); });

const hear = { image: heardImage, progress: heardProgress, balance: hearBalance, places: heardQueue };
let held = "";
const level = listen(studio.dataset.events, {
  heard: (type, event) => hear[type](event),
  resync: (isOvertaken) => resync(heardBalance, isOvertaken),
});

// More is held than before: another tab may have asked for images that this page does not show.
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

startHistory();
startHistoryList();
startIdeas();
startLine();
startList();
startFeedKeys();
startSheet();

const prompt = document.getElementById("prompt");
const negative = document.getElementById("negative_prompt");
const words = document.querySelector("[data-negative-words]");
const showWords = () => { words.textContent = negative.value; };
negative.addEventListener("input", showWords);
showWords();
if (matchMedia("(hover: hover)").matches && !location.hash && !("refused" in studio.dataset)) prompt.focus({ preventScroll: true });
