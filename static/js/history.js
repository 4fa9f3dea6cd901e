// One's own earlier prompts, read from the server page by page; Alt+Up and Alt+Down walk through
// them, and what was typed before waits at the end of the way back.
import { getJson } from "darkroom/api";
import { announce, showToast } from "darkroom/headline";
import { say } from "darkroom/strings";

const url = document.querySelector("[data-history]").dataset.history;
const form = document.getElementById("composer");
const prompt = document.getElementById("prompt");
const negative = document.getElementById("negative_prompt");
const STEPS = { ArrowUp: 1, ArrowDown: -1 };
const DRAFT = -1;
let past = openPast();
let place = DRAFT;
let draft = null;
let isWalking = false;
let isPutting = false;

// The prompts found so far, each pair once, and a way to the next page.
export function openPast(words = "") {
  const prompts = [];
  const known = new Set();
  let before = null;

  async function more() {
    const page = await getJson(`${url}?${new URLSearchParams({ q: words, before: before ?? "" })}`);
    for (const one of page.prompts) {
      const key = JSON.stringify([one.prompt, one.negative_prompt]);
      if (!known.has(key)) prompts.push(one);
      known.add(key);
    }
    before = page.before;
  }

  const isAll = () => before === "";
  // A page may bring nothing that is new: then the one behind it is asked for.
  async function reach(count) {
    while (prompts.length < count && !isAll()) await more();
  }
  return { prompts, reach, isAll };
}

export function startHistory() {
  form.addEventListener("keydown", onKey);
  form.addEventListener("accepted", forget);
  for (const field of [prompt, negative]) {
    field.addEventListener("input", () => { if (!isPutting) place = DRAFT; });
  }
}

export function put({ prompt: words, negative_prompt: without }) {
  isPutting = true;
  for (const [field, value] of [[prompt, words], [negative, without]]) {
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  isPutting = false;
}

function onKey(event) {
  const isPlainAlt = event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (event.isComposing || !isPlainAlt || !STEPS[event.key] || !event.target.matches("textarea")) return;
  event.preventDefault();
  walk(STEPS[event.key]);
}

async function walk(step) {
  if (isWalking) return;
  isWalking = true;
  try {
    await go(step);
  } catch (error) {
    showToast(error.message);
  }
  isWalking = false;
}

async function go(step) {
  if (place === DRAFT) draft = { prompt: prompt.value, negative_prompt: negative.value };
  let wanted = place;
  do {
    wanted += step;
    await past.reach(wanted + 1);
  } while (wanted > DRAFT && isDraft(past.prompts[wanted]));
  const found = wanted === DRAFT ? draft : past.prompts[wanted];
  if (wanted < DRAFT) return;
  if (!found) return announce(say("no_older_prompt"));
  place = wanted;
  put(found);
  announce(found.prompt);
}

// What stands in the card already, as it does after sending, is no step.
const isDraft = (one) => one?.prompt === draft.prompt && one.negative_prompt === draft.negative_prompt;

function forget() {
  past = openPast();
  place = DRAFT;
}
