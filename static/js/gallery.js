// The wall goes on by itself: the link to older pictures is followed when it comes into view.
const days = document.querySelector("[data-days]");
const more = document.querySelector("[data-more]");
const AHEAD = "1200px";
let busy = false;

const watcher = new IntersectionObserver((seen) => {
  if (seen.some((one) => one.isIntersecting)) loadMore();
}, { rootMargin: AHEAD });

async function loadMore() {
  const link = more.querySelector("[data-next]");
  if (!link || busy) return;
  busy = true;
  const html = await fetchPage(link.href);
  busy = false;
  // The link stays: a click on it says what is the matter.
  if (html === null) return watcher.disconnect();
  append(new DOMParser().parseFromString(html, "text/html"));
  // Still in view: the observer only speaks up when that changes.
  watcher.unobserve(more);
  watcher.observe(more);
}

async function fetchPage(url) {
  try {
    const response = await fetch(url, { headers: { Accept: "text/html" } });
    return response.ok && !response.redirected ? await response.text() : null;
  } catch {
    return null;
  }
}

function append(page) {
  for (const day of page.querySelectorAll("[data-day]")) {
    const last = days.lastElementChild;
    const isSameDay = last?.dataset.day === day.dataset.day;
    if (isSameDay) last.querySelector(".wall").append(...day.querySelectorAll(".wall > *"));
    else days.append(day);
  }
  more.replaceChildren(...page.querySelector("[data-more]").childNodes);
}

if (more) watcher.observe(more);
