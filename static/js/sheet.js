// The settings as a sheet on a phone: pulled down by its head it goes away, and a keyboard on the
// screen neither hides it nor the prompt card.
const sheet = document.getElementById("settings");
const head = sheet.querySelector("[data-sheet-head]");
const page = [document.querySelector(".top"), document.getElementById("main")];
const isPhone = matchMedia("(max-width: 767px)");
const AWAY_SHARE = 0.25;
const FLICK_PX_PER_MS = 0.5;
let start = null;

export function startSheet() {
  for (const name of ["settings", "history", "vocabulary"]) document.getElementById(name).addEventListener("beforetoggle", cover);
  head.addEventListener("pointerdown", take);
  head.addEventListener("pointermove", pull);
  head.addEventListener("pointerup", release);
  head.addEventListener("pointercancel", () => settle());
  visualViewport?.addEventListener("resize", aboveKeyboard);
  visualViewport?.addEventListener("scroll", aboveKeyboard);
}

// A tap beside a sheet closes it and does nothing else: no link below is hit.
function cover(event) {
  const isCovered = event.newState === "open" && isPhone.matches;
  for (const part of page) part.inert = isCovered;
}

function take(event) {
  if (!sheet.matches(":popover-open") || event.target.closest("button")) return;
  start = { y: event.clientY, at: event.timeStamp };
  head.setPointerCapture(event.pointerId);
  sheet.classList.add("is-pulled");
}

function pull(event) {
  if (start) sheet.style.setProperty("--pulled", `${Math.max(0, event.clientY - start.y)}px`);
}

function release(event) {
  if (!start) return;
  const way = event.clientY - start.y;
  const isFlick = way / Math.max(1, event.timeStamp - start.at) > FLICK_PX_PER_MS;
  const isAway = way > sheet.offsetHeight * AWAY_SHARE || (isFlick && way > 24);
  settle();
  if (isAway) sheet.hidePopover();
}

function settle() {
  start = null;
  sheet.classList.remove("is-pulled");
  sheet.style.removeProperty("--pulled");
}

// Safari lays the keyboard over the page; other browsers make the page smaller by themselves.
function aboveKeyboard() {
  const covered = innerHeight - visualViewport.height - visualViewport.offsetTop;
  const isZoomed = visualViewport.scale > 1.01;
  document.documentElement.style.setProperty("--keyboard", `${isZoomed ? 0 : Math.max(0, covered)}px`);
}
