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
  const response = await fetch(link.href, { headers: { Accept: "text/html" } });
  busy = false;
  if (!response.ok || response.redirected) return watcher.disconnect();
  append(new DOMParser().parseFromString(await response.text(), "text/html"));
  // Still in view: the observer only speaks up when that changes.
  watcher.unobserve(more);
  watcher.observe(more);
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
