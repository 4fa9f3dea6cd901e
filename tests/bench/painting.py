"""How long a preview takes from the engine to the screen of a real browser."""

import base64
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright
from playwright.sync_api import Error as BrowserError

from tests.bench.drawing import wait_for_workers
from tests.bench.figures import Figure
from tests.trial import PROJECT, Trial, TrialFailedError, Visitor

PREVIEW_MS = 300.0
IMAGES, LEAST_PAINTED = 4, 30
DRAWN_S = 180.0
STOP_S = 60.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

# The moment after the frame that shows a preview: decoded, one frame begun, and the next one too.
NOTE_PAINTED = """
window.painted = [];
async function note(picture) {
  const shown = picture.src;
  try { await picture.decode(); } catch { return; }
  requestAnimationFrame(() => requestAnimationFrame(() => {
    if (picture.src === shown) window.painted.push([shown, Date.now()]);
  }));
}
new MutationObserver((changes) => {
  for (const { target } of changes) if (target.matches("[data-preview]")) note(target);
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["src"] });
"""


def measure_previews(trial: Trial, fields: dict[str, str]) -> Figure:
    """The 95th percentile from the engine's own news to the painted preview, of every preview
    that was painted; one that a newer one had replaced by then was not."""
    visitor = trial.sign_up("watcher")
    notes = trial.folder / "previews.txt"
    notes.touch()
    with clocked_worker(trial, notes), studio_page(trial, visitor) as page:
        asked = visitor.request_images(**{**fields, "count": str(IMAGES)})
        visitor.wait_until_ended(asked, timeout_s=DRAWN_S)
        painted = dict(page.evaluate("window.painted"))
    made = dict(line.split() for line in notes.read_text("utf-8").splitlines())
    times_ms = sorted(
        moment_ms - 1000 * float(made[digest_of(shown)]) for shown, moment_ms in painted.items()
    )
    if len(times_ms) < LEAST_PAINTED:
        raise TrialFailedError(f"only {len(times_ms)} of {len(made)} previews were painted")
    return Figure(
        "preview_ms",
        statistics.quantiles(times_ms, n=20)[-1],
        PREVIEW_MS,
        note=f"p95 of {len(times_ms)} painted of {len(made)} made, engine to screen, {IMAGES}"
        f" images at once; median {statistics.median(times_ms):.0f}, slowest {times_ms[-1]:.0f}",
    )


def digest_of(shown: str) -> str:
    """The SHA-256 of the image in a data URL."""
    return hashlib.sha256(base64.b64decode(shown.partition(",")[2])).hexdigest()


@contextmanager
def clocked_worker(trial: Trial, notes: Path) -> Iterator[None]:
    """The worker that draws, if the trial's own serves no model."""
    words = ["celery", "-A", "webapp.celery", "--quiet", "worker"]
    options = ["-I", "tests.bench.clocked_worker", "--pool=threads", "--concurrency=4"]
    environment = {**trial.environment, "DARKROOM_BENCH_PREVIEWS": str(notes)}
    with (trial.folder / "clocked.log").open("wb") as log:
        worker = subprocess.Popen(
            ["nice", "-n15", sys.executable, "-m", *words, *options, "-n", "clocked@%h"],
            cwd=PROJECT,
            env={**environment, "DARKROOM_SERVE": "", "HF_HUB_OFFLINE": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_workers(trial, 2)
        yield
    finally:
        worker.terminate()
        worker.wait(STOP_S)


@contextmanager
def studio_page(trial: Trial, visitor: Visitor) -> Iterator[Page]:
    """The visitor's studio in a headless Chromium, hearing its events."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except BrowserError as error:
            raise TrialFailedError("no Chromium: set CHROMIUM to its path") from error
        context = browser.new_context(base_url=trial.base_url)
        context.add_init_script(NOTE_PAINTED)
        sign_in(context, visitor, trial.base_url)
        page = context.new_page()
        page.goto("/")
        page.wait_for_selector("html[data-stream=open]", state="attached")
        yield page
        browser.close()


def sign_in(context: BrowserContext, visitor: Visitor, url: str) -> None:
    """The browser has the visitor's session."""
    names = ("csrftoken", "sessionid")
    context.add_cookies(
        [{"name": name, "value": visitor.cookie(name), "url": url} for name in names]
    )
