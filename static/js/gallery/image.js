// One image: the star changes at once, F and Del work, and a link is made without a reload.
import { postForm } from "darkroom/api";
import { letterOf } from "darkroom/letters";

const acts = document.querySelector("[data-image-acts]");
const share = document.querySelector("[data-share]");
const told = document.querySelector("[data-told]");

async function favourite(event) {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  const wanted = button.getAttribute("aria-pressed") !== "true";
  const body = new FormData(form);
  body.set("on", wanted ? "1" : "0");
  mark(button, wanted);
  try {
    await postForm(form, body);
  } catch (error) {
    mark(button, !wanted);
    if (told) told.textContent = error.message;
  }
}

function mark(button, isFavourite) {
  button.setAttribute("aria-pressed", String(isFavourite));
  button.classList.toggle("is-on", isFavourite);
  button.value = isFavourite ? "0" : "1";
}

async function makeLink(event) {
  event.preventDefault();
  const wrong = document.querySelector("[data-share-wrong]");
  wrong.hidden = true;
  try {
    const answer = await postForm(share);
    document.getElementById("share-link").textContent = answer.link;
    document.querySelector("[data-made]").hidden = false;
    document.querySelector("[data-revoke]").hidden = false;
    document.querySelector("[data-shared-since]")?.remove();
    document.querySelector("[data-share-opener]").classList.add("is-on");
    document.querySelector("[data-copy=share-link]").focus();
  } catch (error) {
    wrong.textContent = error.message;
    wrong.hidden = false;
  }
}

function onKey(event) {
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
  if (!isPlain || event.target.closest("input, textarea, select") || document.querySelector("dialog[open], :popover-open")) return;
  const form = { f: "[data-favourite]", delete: "[data-bin]" }[letterOf(event)];
  if (form) acts.querySelector(form).requestSubmit();
}

if (acts) {
  acts.querySelector("[data-favourite]").addEventListener("submit", favourite);
  share.addEventListener("submit", makeLink);
  document.addEventListener("keydown", onKey);
}
