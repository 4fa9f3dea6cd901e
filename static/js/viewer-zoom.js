// The image alone on the whole screen: + and - (or a click) change its size, Escape leaves.
const MOST = 8;
const dialog = document.querySelector("[data-zoom]");
const image = dialog.querySelector("img");
const pane = dialog.querySelector("[data-pane]");
let times = 1;

document.querySelector("[data-open-zoom]").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  image.src ||= image.dataset.src;
  dialog.showModal();
  resize(1);
});
dialog.querySelector("[data-leave]").addEventListener("click", () => dialog.close());
dialog.querySelector("[data-larger]").addEventListener("click", () => resize(times * 2));
dialog.querySelector("[data-smaller]").addEventListener("click", () => resize(times / 2));
image.addEventListener("click", (event) => resize(times === 1 ? 2 : 1, event));
dialog.addEventListener("keydown", (event) => {
  if (event.key === "+" || event.key === "=") resize(times * 2);
  else if (event.key === "-") resize(times / 2);
});

// What was in the middle, or under the pointer, stays there.
function resize(wanted, at = null) {
  const { left, top, width, height } = pane.getBoundingClientRect();
  const x = at ? at.clientX - left : width / 2;
  const y = at ? at.clientY - top : height / 2;
  const before = times;
  times = Math.min(MOST, Math.max(1, wanted));
  dialog.style.setProperty("--times", times);
  const share = times / before;
  pane.scrollTo((pane.scrollLeft + x) * share - x, (pane.scrollTop + y) * share - y);
  dialog.querySelector("[data-smaller]").disabled = times === 1;
  dialog.querySelector("[data-larger]").disabled = times === MOST;
}
