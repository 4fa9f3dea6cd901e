// The wall goes on by itself, and is where it was when somebody comes back from an image.
// Tiles stand in lists of 60, which any number of columns divides; the browser lays out only the
// lists that are near the screen (content-visibility).
const days = document.querySelector("[data-days]");
const more = document.querySelector("[data-more]");
const AHEAD = "2500px";
const LIST_LENGTH = 60;
const PAGES_BROUGHT_BACK = 40;
const STILL_FRAMES = 10;
const MOST_FRAMES = 120;
const KEY = `wall ${location.pathname}${location.search}`;
let loading = null;
let pages = 1;

export const allTiles = () => [...document.querySelectorAll("[data-wall] .tile")];

const watcher = new IntersectionObserver((seen) => {
  if (seen.some((one) => one.isIntersecting)) loadMore();
}, { rootMargin: AHEAD });

function loadMore() {
  loading ??= loadPage().finally(() => { loading = null; });
  return loading;
}

async function loadPage() {
  const link = more.querySelector("[data-next]");
  const html = link ? await fetchPage(link.href) : null;
  // The link stays: a click on it says what is the matter.
  if (html === null) return watcher.disconnect();
  append(new DOMParser().parseFromString(html, "text/html"));
  pages += 1;
  days.dispatchEvent(new Event("grown", { bubbles: true }));
  // Still in view: the observer only speaks up when that changes.
  watcher.unobserve(more);
  watcher.observe(more);
}

async function fetchPage(url) {
  try {
    // Before the images that are on their way: they would fill all connections.
    const response = await fetch(url, { headers: { Accept: "text/html" }, priority: "high" });
    return response.ok && !response.redirected ? await response.text() : null;
  } catch {
    return null;
  }
}

function append(page) {
  for (const day of page.querySelectorAll("[data-day]")) {
    const last = days.lastElementChild;
    if (last?.dataset.day === day.dataset.day) {
      last.append(...day.querySelectorAll(".wall"));
      settle(last);
    } else days.append(document.adoptNode(day));
  }
  const next = page.querySelector("[data-more]");
  more.replaceChildren(...(next ? next.childNodes : []));
}

// Every list of the day but its last has its 60 tiles again.
export function settle(day) {
  const lists = [...day.querySelectorAll(".wall")];
  const tiles = lists.flatMap((list) => [...list.children]);
  lists.forEach((list, number) => {
    const wanted = tiles.slice(number * LIST_LENGTH, (number + 1) * LIST_LENGTH);
    const isRight = wanted.length === list.children.length && wanted.every((tile, at) => tile === list.children[at]);
    if (!wanted.length && number) list.remove();
    else if (!isRight) list.replaceChildren(...wanted);
  });
  day.hidden = !tiles.length;
}

function remember() {
  const anchor = allTiles().find((tile) => tile.getBoundingClientRect().bottom > 0);
  if (!anchor || !scrollY) return sessionStorage.removeItem(KEY);
  const place = { pages, image: anchor.dataset.image, top: anchor.getBoundingClientRect().top };
  sessionStorage.setItem(KEY, JSON.stringify(place));
}

// How this page was come to.
/** @returns {PerformanceNavigationTiming} */
function navigation() {
  return /** @type {any} */ (performance.getEntriesByType("navigation")[0]);
}

async function bringBack() {
  const isBack = navigation()?.type === "back_forward";
  const fromImage = document.referrer.startsWith(`${location.origin}/images/`);
  const place = isBack || fromImage ? JSON.parse(sessionStorage.getItem(KEY) ?? "null") : null;
  if (!place) return;
  history.scrollRestoration = "manual";
  while (pages < Math.min(place.pages, PAGES_BROUGHT_BACK) && more.querySelector("[data-next]")) {
    const before = pages;
    await loadMore();
    if (pages === before) break;
  }
  const anchor = document.querySelector(`[data-image="${place.image}"]`);
  if (!anchor) return;
  anchor.scrollIntoView({ block: "start", behavior: "instant" });
  await holdAt(anchor, place.top);
}

// Lists on the way here are laid out only now, and move what is below them: not before the anchor
// has stood where it was for some frames is the wall back. Whoever scrolls meanwhile is left alone.
async function holdAt(anchor, top) {
  let theirs = false;
  const letGo = new AbortController();
  for (const kind of ["wheel", "touchstart", "keydown", "pointerdown"]) {
    addEventListener(kind, () => { theirs = true; }, { signal: letGo.signal, passive: true });
  }
  for (let frame = 0, still = 0; frame < MOST_FRAMES && still < STILL_FRAMES && !theirs; frame += 1) {
    const off = anchor.getBoundingClientRect().top - top;
    still = Math.abs(off) < 1 ? still + 1 : 0;
    if (!still) scrollBy({ top: off, behavior: "instant" });
    await new Promise(requestAnimationFrame);
  }
  letGo.abort();
}

if (days) {
  addEventListener("pagehide", remember);
  bringBack().finally(() => watcher.observe(more));
}
