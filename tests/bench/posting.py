"""How long a request takes to be accepted while images are being drawn."""

import http.client
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.connection import Connection, read_row
from tests.bench.drawing import FIELDS
from tests.bench.figures import Figure
from tests.trial import Trial, TrialFailedError

RATE_HZ = 20.0
LENGTH_S = 20.0
USERS = 8
WARM_UP_REQUESTS = 3
TURNS = 3
POST_P95_X, POST_P95_RATIO, WEB_RSS_MB = 6.0, 0.6, 150.0
BLANK_PAGE, BLANK_WARM_UPS, BLANK_PAGES = "/gallery/", 5, 40
LIBRARIES = ("libtorch", "torch/lib", "site-packages/torch")


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: seconds from its due time to its answer, and what it began."""

    seconds: float
    generation_id: str
    image_id: str


@dataclass(frozen=True, slots=True)
class Load:
    """One turn: each request's milliseconds, the images drawn meanwhile, an empty page's time."""

    times_ms: list[float]
    drawn: int
    blank_ms: float


def measure_posting(bench: Bench) -> Iterator[Figure]:
    """How fast requests are taken while images are drawn; with a base, beside it and in turns."""
    with ExitStack() as stack:
        settings = {"DARKROOM_STARTING_CREDITS": "640"}
        trials = {
            side: stack.enter_context(bench.running(f"posting-{side}", settings, checkout=checkout))
            for side, checkout in bench.checkouts.items()
        }
        loads: dict[str, list[Load]] = {side: [] for side in trials}
        for turn in range(TURNS):
            for side, (trial, _model) in trials.items():
                loads[side].append(post_steadily(trial, FIELDS, turn=turn))
        yield from _figures(loads)
        yield measure_web(trials["now"][0])
        print(trials["now"][0].manage("check_credits").strip(), flush=True)


def post_steadily(trial: Trial, fields: dict[str, str], *, turn: int) -> Load:
    """An open loop: a request is due whether or not the one before it was answered, and its time
    counts from when it was due. Each user also has a page open. Raises TrialFailedError if no
    image was drawn meanwhile."""
    visitors = [trial.sign_up(f"poster{turn}-{number}") for number in range(USERS)]
    connections = [Connection(trial, visitor) for visitor in visitors]
    for connection in connections:
        threading.Thread(target=read_stream, args=[trial, connection], daemon=True).start()
    with ThreadPoolExecutor(USERS) as pool:
        list(pool.map(lambda one: send(one, fields, WARM_UP_REQUESTS, 0.2), connections))
        stored_before = count_stored(trial)
        work = [
            pool.submit(send_staggered, connection, fields, number)
            for number, connection in enumerate(connections)
        ]
        answered = [one.result() for one in work]
        drawn = count_stored(trial) - stored_before
    if not drawn:
        raise TrialFailedError("no image was drawn while requests were measured")
    for connection, mine in zip(connections, answered, strict=True):
        for one in mine:
            connection.post(f"/generations/{one.generation_id}/cancellation/", {})
    blank = blank_page_ms(trial)
    return Load([1000 * one.seconds for mine in answered for one in mine], drawn, blank)


def blank_page_ms(trial: Trial) -> float:
    """The median of an empty signed-in page, asked for again and again by one person."""
    visitor = trial.sign_up("onlooker")
    times_ms = []
    for _page in range(BLANK_WARM_UPS + BLANK_PAGES):
        begun = time.monotonic()
        visitor.get(BLANK_PAGE)
        times_ms.append(1000 * (time.monotonic() - begun))
    return statistics.median(times_ms[BLANK_WARM_UPS:])


def _figures(loads: dict[str, list[Load]]) -> Iterator[Figure]:
    now = loads["now"]
    p95_ms = _p95(now)
    times_ms = sorted(one for load in now for one in load.times_ms)
    note = (
        f"{len(times_ms)} requests at {RATE_HZ:g}/s, median {statistics.median(times_ms):.0f},"
        f" slowest {times_ms[-1]:.0f}; {sum(load.drawn for load in now)} images drawn meanwhile;"
        f" {USERS} pages open"
    )
    yield Figure("post_p95_ms", p95_ms, note=note)
    blank_ms = statistics.median(load.blank_ms for load in now)
    note = f"times an empty signed-in page, {blank_ms:.1f} ms at rest in the same run"
    yield Figure("post_p95_x", p95_ms / blank_ms, POST_P95_X, note=note)
    if "base" in loads:
        base_ms = _p95(loads["base"])
        note = f"of the base's {base_ms:.1f} ms; medians of {TURNS} turns each, side by side"
        yield Figure("post_p95_ratio", p95_ms / base_ms, POST_P95_RATIO, note=note)


def _p95(loads: list[Load]) -> float:
    """The median of the turns' 95th percentiles: a bad moment of the machine spoils one turn."""
    return statistics.median(statistics.quantiles(one.times_ms, n=20)[-1] for one in loads)


def measure_web(trial: Trial) -> Figure:
    """Resident memory of the web process after all that; raises TrialFailedError if any library
    of torch is mapped into it."""
    process = Path("/proc") / str(trial.pid("web"))
    if any(name in (process / "maps").read_text() for name in LIBRARIES):
        raise TrialFailedError("the web process has loaded torch")
    lines = (process / "status").read_text().splitlines()
    resident_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return Figure("web_rss_mb", resident_kb / 1024, WEB_RSS_MB, note="after the load, no torch")


def send_staggered(connection: Connection, fields: dict[str, str], number: int) -> list[Answered]:
    """One user's share of the load, so that all users together are evenly spread."""
    time.sleep(number / RATE_HZ)
    return send(connection, fields, round(LENGTH_S * RATE_HZ / USERS), USERS / RATE_HZ)


def send(
    connection: Connection, fields: dict[str, str], requests: int, every_s: float
) -> list[Answered]:
    """What became of each request, sent when it was due or as soon as the last was answered."""
    begun = time.monotonic()
    answered = []
    for number in range(requests):
        due = begun + number * every_s
        time.sleep(max(0.0, due - time.monotonic()))
        ids = connection.request_image(fields)
        answered.append(Answered(time.monotonic() - due, *ids))
    return answered


def count_stored(trial: Trial) -> int:
    """How many images were drawn by now."""
    return int(read_row(trial, "SELECT COUNT(*) FROM generation_image WHERE state = 'stored'")[0])


def read_stream(trial: Trial, connection: Connection) -> None:
    """Reads the visitor's event stream as an open page does, until the studio stops."""
    page = http.client.HTTPConnection("127.0.0.1", trial.port)
    with suppress(OSError, http.client.HTTPException):
        page.request("GET", "/events/", headers={"Cookie": connection.headers["Cookie"]})
        answer = page.getresponse()
        while answer.readline():
            pass
