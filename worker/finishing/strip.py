"""The development strip: a run's own previews, side by side in one small file."""

import io
import logging
from dataclasses import dataclass

from PIL import Image

from worker.engine.request import Progress, RenderedImage

logger = logging.getLogger(__name__)

MOST_PREVIEWS = 12
LARGEST_BYTES = 60 * 1024
_QUALITIES = (80, 60, 40, 20, 5)
_HELD_AT_MOST = 2 * MOST_PREVIEWS  # while drawing: about 150 KB an image


@dataclass(frozen=True, slots=True)
class FinishedStrip:
    """A WebP of frames of one size, left to right; the last one is the finished image, small.

    `steps`: for each frame how many denoiser calls had been made, and the time that the next call
    was told in the model's own schedule: 0 for the finished image, None if it is not known.
    """

    webp: bytes
    steps: tuple[tuple[int, float | None], ...]


class Strip:
    """Keeps previews while an image is drawn: never more than 24, evenly thinned out."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, bytes]] = []  # step -> WebP
        self._steps = 0
        self._heard = 0
        self._stride = 1  # one of so many is kept; doubles whenever they become too many

    def keep(self, progress: Progress) -> None:
        """Takes the preview if there is one. Called by the engine's threads, one at a time."""
        self._steps = max(self._steps, progress.steps)
        if progress.preview is None or progress.preview_step is None:
            return
        if self._heard % self._stride == 0:
            self._kept.append((progress.preview_step, progress.preview))
        self._heard += 1
        if len(self._kept) > _HELD_AT_MOST:
            del self._kept[1::2]  # the first one stays: it is the noise
            self._stride *= 2

    def finish(self, rendered: RenderedImage) -> FinishedStrip | None:
        """The strip of the run that gave `rendered`; None if no preview was kept, or if the
        previews do not make one, which is logged: a strip is not worth an image."""
        if not self._kept:
            return None
        try:
            chosen = choose_evenly(self._kept)
            frames = [_open(webp) for _step, webp in chosen]
            webp = _encode(frames, _image_of(rendered, frames[0].size))
        except Exception:
            logger.exception("image %s gets no strip", rendered.request_id)
            return None
        steps = [(step, _time_at(step, rendered.times)) for step, _webp in chosen]
        last = (self._steps, 0.0 if rendered.times else None)
        return FinishedStrip(webp, (*steps, last))


def choose_evenly(kept: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """At most 12 of `kept` (in the order of their steps), the first and the last among them, the
    others as near as can be to equal distances."""
    if len(kept) <= MOST_PREVIEWS:
        return kept
    first, last = kept[0][0], kept[-1][0]
    wanted = [first + (last - first) * n / (MOST_PREVIEWS - 1) for n in range(MOST_PREVIEWS)]
    nearest = {min(kept, key=lambda one: abs(one[0] - step)) for step in wanted}
    return sorted(nearest)


def _time_at(step: int, times: tuple[float, ...]) -> float | None:
    return times[step] if step < len(times) else None


def _open(webp: bytes) -> Image.Image:
    return Image.open(io.BytesIO(webp)).convert("RGB")


def _image_of(rendered: RenderedImage, size: tuple[int, int]) -> Image.Image:
    whole = Image.frombytes("RGB", (rendered.width_px, rendered.height_px), rendered.pixels)
    return whole.resize(size, Image.Resampling.LANCZOS)


def _encode(frames: list[Image.Image], image: Image.Image) -> bytes:
    width, height = image.size
    sheet = Image.new("RGB", (width * (len(frames) + 1), height))
    for place, frame in enumerate((*frames, image)):
        sheet.paste(frame.resize((width, height)), (place * width, 0))
    for quality in _QUALITIES:
        file = io.BytesIO()
        sheet.save(file, "WEBP", quality=quality, method=2)
        if file.tell() <= LARGEST_BYTES:
            return file.getvalue()
    raise ValueError(f"{file.tell()} bytes even at the lowest quality")
