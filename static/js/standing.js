// The prompt card and the settings stand while the page scrolls beneath them. A browser that brings
// something in them into view scrolls the page, away from what its visitor looks at: these do not.

// Scrolls the settings alone, so that `part` of them is seen; what stands in the card is seen anyway.
export function bringIntoView(part) {
  const box = part.closest(".side");
  if (!box) return;
  const seen = box.getBoundingClientRect();
  const { top, bottom, height } = part.getBoundingClientRect();
  if (top >= seen.top && bottom <= seen.bottom) return;
  const above = Math.max(0, (seen.height - height) / 2);
  box.scrollBy({ top: top - seen.top - above, behavior: "instant" });
}

export function focusInPlace(control) {
  bringIntoView(control);
  control.focus({ preventScroll: true });
}
