// What the lists above the prompt card share: where they stand, and the arrow keys.
const card = document.getElementById("composer");

export function placeAboveCard(popover) {
  const box = card.getBoundingClientRect();
  popover.style.setProperty("--left", `${box.left}px`);
  popover.style.setProperty("--wide", `${box.width}px`);
  popover.style.setProperty("--above", `${innerHeight - box.top + 8}px`);
  popover.style.setProperty("--room", `${box.top - 24}px`);
}

// From the search to the list's buttons and back; Escape closes.
export function walkByArrows(popover, search, list) {
  popover.addEventListener("keydown", (event) => {
    // While a syllable is being composed, the keys are the input method's.
    if (event.isComposing) return;
    // A browser would only empty the search at the first Escape.
    if (event.key === "Escape") return popover.hidePopover();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    const stops = [search, ...list.querySelectorAll("button")].filter((one) => one.checkVisibility());
    const next = stops[stops.indexOf(document.activeElement) + step];
    event.preventDefault();
    next?.focus();
  });
}
