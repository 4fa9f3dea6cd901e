// How a start image comes in: picked, dropped anywhere on the page, pasted, or an own one dragged.
const panel = document.querySelector("[data-start]");
const picker = panel.querySelector("[data-start-file]");
const OWN = /\/images\/([0-9a-f-]{36})\//;

export function watchIntake({ tookFile, tookImage }) {
  picker.addEventListener("change", () => {
    if (picker.files.length) tookFile(picker.files[0]);
    picker.value = ""; // so that the same file can be picked again
  });
  document.addEventListener("paste", (event) => {
    const file = imageIn(event.clipboardData.files);
    // What a word processor copies is words first, with an image of them beside.
    const isWords = event.clipboardData.types.includes("text/plain") && event.target.closest("input, textarea");
    if (!file || isWords || isCovered()) return;
    event.preventDefault();
    tookFile(file);
  });
  watchDrops(tookFile, tookImage);
}

function watchDrops(tookFile, tookImage) {
  let depth = 0; // enter and leave come for every element that is crossed
  const light = (by) => {
    depth = Math.max(0, depth + by);
    document.documentElement.toggleAttribute("data-dropping", depth > 0);
  };
  document.addEventListener("dragenter", (event) => { if (isWelcome(event)) light(1); });
  document.addEventListener("dragleave", (event) => { if (isWelcome(event)) light(-1); });
  document.addEventListener("dragover", (event) => { if (isWelcome(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!isWelcome(event)) return;
    event.preventDefault();
    light(-depth);
    const own = event.dataTransfer.getData("text/uri-list").match(OWN);
    if (own) tookImage(own[1]);
    else if (event.dataTransfer.files.length) tookFile(event.dataTransfer.files[0]);
  });
}

// A link or an image of this page is taken where it is dropped on the panel alone.
function isWelcome({ dataTransfer, target }) {
  if (isCovered()) return false;
  if (dataTransfer.types.includes("text/uri-list")) return panel.contains(target);
  return dataTransfer.types.includes("Files");
}

const isCovered = () => panel.hidden || document.querySelector("dialog[open]") !== null;
const imageIn = (files) => [...files].find((file) => file.type.startsWith("image/"));
