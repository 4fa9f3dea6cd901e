// The prompt card: sends once, keeps what is typed, says what is wrong beside its field.
import { postForm } from "darkroom/api";
import { insertGroup } from "darkroom/feed";
import { announce } from "darkroom/headline";
import { askAgain, isAskingPrice } from "darkroom/price";
import { focusInPlace } from "darkroom/standing";
import { say } from "darkroom/strings";

const form = document.getElementById("composer");
const wrongs = () => [...document.querySelectorAll("[data-wrong]")];
let sending = false;

export function startComposer() {
  mintKey();
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  document.addEventListener("keydown", (event) => {
    // While a syllable is being composed, Enter only ends it.
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form === form) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  document.addEventListener("input", (event) => { if (event.target.form === form) clearWrong(event.target.name); });
  for (const textarea of form.querySelectorAll("textarea")) grow(textarea);
}

// One key per accepted request: a second click, or a repeat after a lost answer, makes nothing new.
function mintKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  form.elements.idempotency_key.value = Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}

async function send() {
  if (sending || isAskingPrice()) return;
  setSending(true);
  clearWrong();
  try {
    const answer = await postForm(form);
    mintKey();
    accepted(insertGroup(answer.html));
    form.dispatchEvent(new Event("accepted"));
  } catch (error) {
    if (error.code === "conflict") { mintKey(); askAgain(); }
    // The key stays: what may have arrived all the same is not asked for twice.
    if (error.code === "offline") error.message = say("not_sent");
    showWrong(error);
  }
  setSending(false);
}

function accepted(group) {
  const count = group.querySelectorAll("[data-image]").length;
  announce(count === 1 ? say("sent_one") : say("sent", { count }));
  const sheet = document.getElementById("settings");
  if (sheet.matches(":popover-open")) sheet.hidePopover();
  scrollTo({ top: 0 });
}

function setSending(now) {
  sending = now;
  for (const button of document.querySelectorAll("[data-go]")) button.setAttribute("aria-busy", now);
}

export function showWrong(error) {
  const place = wrongs().find((one) => error.field && one.dataset.wrong === error.field) ?? wrongs().find((one) => !one.dataset.wrong);
  place.textContent = error.message;
  place.hidden = false;
  const control = error.field && document.getElementById(error.field);
  if (control) point(control);
}

function point(control) {
  control.setAttribute("aria-invalid", "true");
  for (let box = control.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  const sheet = control.closest("[popover]");
  if (sheet && getComputedStyle(sheet).display === "none") sheet.showPopover();
  focusInPlace(control);
}

export function clearWrong(name) {
  for (const place of wrongs()) {
    if (name && place.dataset.wrong && place.dataset.wrong !== name) continue;
    place.hidden = true;
    place.textContent = "";
    document.getElementById(place.dataset.wrong)?.removeAttribute("aria-invalid");
  }
}

function grow(textarea) {
  if (CSS.supports("field-sizing", "content")) return;
  const fit = () => {
    textarea.style.height = "auto";
    textarea.style.height = `${textarea.scrollHeight}px`;
  };
  textarea.addEventListener("input", fit);
  fit();
}
