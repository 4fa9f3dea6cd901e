// The development strip: a slider over the film, and the frame under it in every window.
const EACH_MS = 260;
const strip = document.querySelector("[data-strip]");
const scrub = strip.querySelector("[data-scrub]");
const play = strip.querySelector("[data-play]");
const moments = [...strip.querySelectorAll("[data-moment]")];
const last = moments.length - 1;
let timer = 0;

strip.style.setProperty("--count", moments.length);
new ResizeObserver(() => strip.style.setProperty("--film-px", `${scrub.clientWidth}px`)).observe(scrub);
scrub.addEventListener("input", () => { stop(); show(scrub.valueAsNumber); });
play.addEventListener("click", () => (timer ? stop() : start()));
document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); });
// A page that is come back to keeps its slider where it was left.
show(scrub.valueAsNumber);

function show(place) {
  scrub.value = place;
  scrub.setAttribute("aria-valuetext", moments[place].dataset.moment);
  strip.style.setProperty("--at", place);
  moments.forEach((moment, number) => { moment.hidden = number !== place; });
  document.querySelectorAll("[data-window]").forEach((frame) => frame.setAttribute("viewBox", `${place} 0 1 1`));
  // On the finished image its window makes way for the image itself.
  document.querySelectorAll("[data-over]").forEach((over) => over.classList.toggle("is-off", place === last));
  document.querySelectorAll("[data-card]").forEach((card, number) => card.toggleAttribute("data-now", number === place));
}

function start() {
  if (scrub.valueAsNumber === last) show(0);
  play.setAttribute("aria-pressed", "true");
  timer = setInterval(() => {
    show(scrub.valueAsNumber + 1);
    if (scrub.valueAsNumber === last) stop();
  }, EACH_MS);
}

function stop() {
  clearInterval(timer);
  timer = 0;
  play.setAttribute("aria-pressed", "false");
}
