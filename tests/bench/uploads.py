"""What a handful of small files, each of 25 megapixels, does to the web process: its greatest
memory while they are sent at once, and how long another page waits meanwhile."""

import io
import statistics
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError

from PIL import Image

from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.trial import Trial, TrialFailedError, Visitor

UPLOAD_PEAK_MB = 300.0
SIDE_PX, SENDERS, CREATED = 5000, 4, 201
KILOBYTES_PER_MB = 1024
POLL_S = 0.02
TIMEOUT_S = 180


def measure_uploads(bench: Bench) -> Iterator[Figure]:
    """The web process's peak with the twelve files; with a base, beside it."""
    found = {}
    for side, checkout in bench.checkouts.items():
        trial = bench.trial(f"uploads-{side}", checkout=checkout)
        with trial.running():
            found[side] = _measure(trial)
            print(f"  uploads, {side}: {found[side]}", flush=True)
    yield Figure("upload_peak_mb", found["now"].peak_mb, UPLOAD_PEAK_MB, note=_note(found))


@dataclass(frozen=True, slots=True)
class _Found:
    """What one side showed; `children_mb` is the process with its children."""

    peak_mb: float
    children_mb: float
    statuses: list[int]
    page_s: float

    def __str__(self) -> str:
        statuses = ", ".join(f"{self.statuses.count(one)} x {one}" for one in set(self.statuses))
        return (
            f"web {self.peak_mb:.0f} MB, with its children {self.children_mb:.0f} MB;"
            f" {statuses}; another page {self.page_s:.2f} s"
        )


def _note(found: dict[str, _Found]) -> str:
    return "; ".join(f"{side}: {one}" for side, one in found.items())


def _measure(trial: Trial) -> _Found:
    visitors = [trial.sign_up(f"uploader{number}") for number in range(SENDERS)]
    reader = trial.sign_up("reader")
    files = _files()
    peaks, done = [0.0, 0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(trial.pid("web"), peaks, done))
    watcher.start()
    jobs = [(visitor, file) for visitor in visitors for file in files]
    times: list[float] = []
    with ThreadPoolExecutor(len(jobs)) as pool:
        sent = [pool.submit(_send, visitor, file) for visitor, file in jobs]
        while not all(one.done() for one in sent):
            began = time.monotonic()
            with suppress(TrialFailedError):  # such as a page that is away: its wait counts
                reader.get("/gallery/")
            times.append(time.monotonic() - began)
            time.sleep(0.1)
    done.set()
    watcher.join()
    statuses = [one.result() for one in sent]
    if CREATED not in statuses:
        raise TrialFailedError(f"no file was taken: {statuses}")
    return _Found(peaks[0], peaks[1], statuses, statistics.median(times or [0.0]))


def _files() -> list[bytes]:
    """A PNG with and one without transparency, and a WebP, none larger than half a megabyte."""
    made = []
    for mode, kind in (("RGB", "PNG"), ("RGBA", "PNG"), ("RGB", "WEBP")):
        file = io.BytesIO()
        Image.new(mode, (SIDE_PX, SIDE_PX), (90, 30, 60)).save(file, kind)
        made.append(file.getvalue())
    return made


def _send(visitor: Visitor, content: bytes) -> int:
    """The status of the answer; 0 if there was none."""
    edge = uuid.uuid4().hex
    parts = (
        f'--{edge}\r\nContent-Disposition: form-data; name="kind"\r\n\r\nstart\r\n'
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    request = urllib.request.Request(  # noqa: S310 - our own studio on this machine
        f"{visitor.base_url}/uploads/",
        data=parts.encode() + content + f"\r\n--{edge}--\r\n".encode(),
        headers={
            "Content-Type": f"multipart/form-data; boundary={edge}",
            "Accept": "application/json",
            "Referer": visitor.base_url,
            "X-CSRFToken": visitor.cookie("csrftoken"),
        },
    )
    try:
        with visitor.opener.open(request, timeout=TIMEOUT_S) as answer:
            return int(answer.status)
    except HTTPError as refused:
        return refused.code
    except (URLError, OSError):
        return 0


def _watch(pid: int, peaks: list[float], done: threading.Event) -> None:
    """Keeps the greatest resident memory of the process, and with its children."""
    while not done.wait(POLL_S):
        own = _resident_mb(pid)
        children = sum(_resident_mb(child) for child in _children(pid))
        peaks[0], peaks[1] = max(peaks[0], own), max(peaks[1], own + children)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(one) for one in (task / "children").read_text().split()]
    return found


def _resident_mb(pid: int) -> float:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        line = next(line for line in lines if line.startswith("VmRSS"))
        return int(line.split()[1]) / KILOBYTES_PER_MB
    return 0.0
