// The line under the prompt: which of its words the chosen model does not know, and what to write in
// their place. The server reads the prompt, when somebody pauses; models without a vocabulary have
// no line.
import { post } from "darkroom/api";
import { announce } from "darkroom/headline";
import { say } from "darkroom/strings";
import { isSame, replaceAll, selectWord } from "darkroom/vocabulary/writing";

const ASK_AFTER_MS = 250;
const MOST_LETTERS = 2000;
const READ = new Set(["prompt", "negative_prompt", "mode"]);
const models = JSON.parse(document.getElementById("models").textContent);
const fields = document.getElementById("composer").elements;
const line = document.querySelector("[data-vocab]");
const says = line.querySelector("[data-vocab-says]");
const list = line.querySelector("[data-vocab-words]");
const negative = document.querySelector("[data-vocab-negative]");
const said = document.querySelector("[data-vocab-said]");
let newest = 0; // the newest question: an older answer that comes later is not shown any more
let waiting;

export function startLine() {
  document.addEventListener("input", ({ target }) => {
    if (target.form?.id === "composer" && READ.has(target.name)) later();
  });
  fields.model.addEventListener("change", showModel);
  addEventListener("pageshow", (event) => { if (event.persisted) showModel(); });
  showModel();
}

const current = () => models[fields.model.value];

function showModel() {
  newest += 1;
  clearTimeout(waiting);
  line.hidden = !current()?.knows;
  negative.hidden = !current()?.follows;
  rest();
  if (!line.hidden) ask();
}

// Nothing to say of the words.
function rest() {
  tell(current()?.knows ?? "");
  negative.textContent = current()?.follows ?? "";
}

function later() {
  newest += 1;
  clearTimeout(waiting);
  if (!line.hidden) waiting = setTimeout(ask, ASK_AFTER_MS);
}

async function ask() {
  const mine = newest;
  const [prompt, without] = [fields.prompt.value, fields.negative_prompt.value];
  const isEmpty = !prompt.trim() && !without.trim();
  if (isEmpty || Math.max(prompt.length, without.length) > MOST_LETTERS || !line.dataset.url) return rest();
  const asked = { model: fields.model.value, prompt, negative_prompt: without, mode: fields.mode.value };
  const token = { csrfmiddlewaretoken: fields.csrfmiddlewaretoken.value };
  let answer;
  try {
    answer = await post(line.dataset.url, new URLSearchParams({ ...asked, ...token }));
  } catch {
    // No word about words keeps nobody from asking: whatever is wrong is said then.
    if (mine === newest) rest();
    return;
  }
  if (mine === newest) show(answer, prompt);
}

function show(answer, prompt) {
  if (!answer.knows) return rest();
  negative.textContent = answer.negative;
  if (!prompt.trim()) return tell(current().knows);
  if (answer.unknown.length) return tellUnknown(answer, prompt);
  tell(say(answer.draws ? "words_known" : "words_nothing"), [], !answer.draws);
}

function tellUnknown({ unknown, more, draws }, prompt) {
  const ones = unknown.map((one) => unknownWord(one, prompt));
  if (more) ones.push(Object.assign(document.createElement("span"), { textContent: say("words_more", { count: more }) }));
  tell(say(draws ? "words_unknown" : "words_nothing"), ones, !draws);
  const words = unknown.map(({ word }) => word).join(", ");
  said.textContent = `${draws ? "" : `${say("words_nothing")} `}${say("words_unknown_said", { words })}`;
}

function tell(sentence, ones = [], isNothing = false) {
  line.classList.toggle("is-nothing", isNothing);
  line.classList.toggle("has-words", ones.length > 0);
  says.textContent = sentence;
  said.textContent = isNothing ? sentence : "";
  list.replaceChildren(...ones);
  list.parentElement.scrollLeft = 0;
}

function unknownWord({ word, places, near }, prompt) {
  const one = Object.assign(document.createElement("span"), { className: "vocab-one" });
  one.append(button("vocab-word", word, word, () => selectWord(places[0])));
  for (const offer of near) {
    const label = say("words_replace", { near: offer, word });
    one.append(button("chip", offer, label, () => {
      replaceAll(places, offer);
      announce(say("words_replaced", { near: offer }));
    }));
  }
  // What was typed meanwhile has moved the places: the next answer brings the new ones.
  one.addEventListener("click", (event) => { if (!isSame(prompt, places)) event.stopPropagation(); }, { capture: true });
  return one;
}

function button(className, textContent, label, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", className, textContent });
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}
