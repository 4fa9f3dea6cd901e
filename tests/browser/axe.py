"""What axe-core finds on a page: in both themes, wide and narrow, with everything opened.

The script is injected by Playwright before the page's own, which no policy of the page forbids.
"""

import json
from dataclasses import dataclass
from importlib.resources import files

from playwright.sync_api import BrowserContext, Page

SOURCE = files("axe_playwright_python") / "axe.min.js"
# So high that the prompt's card, docked below, covers nothing that one would scroll to.
WIDE, NARROW = {"width": 1440, "height": 3000}, {"width": 390, "height": 4000}
# What a theme may change; everything else is looked for in every width, once.
COLOUR_RULES = ["color-contrast", "link-in-text-block"]

# Looks at the page with its details open, then at each popover and dialog while it is shown.
LOOK = """async (options) => {
  const found = [];
  const frame = () => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
  await frame();  // the theme and the width were changed just now
  async function look(where, place) {
    const { violations } = await axe.run(where, options);
    for (const { id, nodes } of violations) for (const node of nodes) found.push({
      place, rule: id, selector: node.target.flat().join(" "),
      why: `${node.failureSummary.replace(/\\s+/g, " ")} in ${node.html.slice(0, 300)}`,
    });
  }
  for (const box of document.querySelectorAll("details")) box.open = true;
  await look(document, "the page");
  for (const box of document.querySelectorAll("[popover], dialog")) {
    if (getComputedStyle(box).display !== "none") continue;
    if (box.popover) box.showPopover(); else box.showModal();
    await look(box, `the opened ${box.id || box.className}`);
    if (box.popover) box.hidePopover(); else box.close();
  }
  return found;
}"""


@dataclass(frozen=True, slots=True)
class Violation:
    """One element that breaks one rule; `view` says how the page was looked at."""

    path: str
    view: str
    place: str
    rule: str
    selector: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} ({self.view}) {self.place}: {self.rule} {self.selector}: {self.why}"


def bring_axe(context: BrowserContext) -> None:
    """Every page of the profile has axe from now on."""
    context.add_init_script(SOURCE.read_text("utf-8"))


def look_at(page: Page, path: str) -> list[Violation]:
    """All violations of an opened page, which is left wide and dark."""
    found = []
    for viewport in (NARROW, WIDE):
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        for theme, rules in (("light", COLOUR_RULES), ("dark", [])):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            view = f"{theme}, {viewport['width']} px"
            lines = page.evaluate(LOOK, _options(rules))
            found += [Violation(path, view, **line) for line in lines]
    return found


def _options(rules: list[str]) -> dict[str, object]:
    """All rules, with the one of WCAG 2.2 that axe leaves off; or these alone."""
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if rules:
        return {**options, "runOnly": {"type": "rule", "values": rules}}
    return {**options, "rules": {"target-size": {"enabled": True}}}


def write_list(found: list[Violation]) -> str:
    """One line for each, for a failing test to show; what repeats in other views is left out."""
    lines = {json.dumps([one.path, one.rule, one.selector]): str(one) for one in found}
    return "\n".join(lines.values())
