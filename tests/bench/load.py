"""What each part of a studio has to do for a page, a thumbnail and an image, in seconds of a
processor; and what a second web process beside the first one brings."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from tests.bench.bench import Bench
from tests.bench.connection import ANSWER_TIMEOUT_S, Connection, News
from tests.bench.drawing import FIELDS
from tests.bench.figures import Figure
from tests.bench.posting import read_stream
from tests.trial import START_TIMEOUT_S, STOP_TIMEOUT_S, Trial, TrialFailedError, Visitor, free_port

PARTS = ("web", "postgres", "valkey", "worker")
WARM_UPS, REQUESTS, IMAGES = 5, 100, 60
DRAWN_WITHIN_S = 240.0
READERS, SATURATED_S, TURNS = 8, 8.0, 3
# Readers and PostgreSQL need cores of their own before two webs can serve twice as much as one.
CORES_FOR_TWO = 6
FASTER_X, DEARER_X = 1.7, 1.1


@dataclass(frozen=True, slots=True)
class Served:
    """What `seconds` at saturation came to: pages in all, and CPU seconds of all webs."""

    pages: int
    seconds: float
    web_cpu_s: float


def measure_load(bench: Bench) -> Iterator[Figure]:
    """First what a unit costs each part, then one web and two."""
    with bench.running("load", {"DARKROOM_STARTING_CREDITS": "640"}) as (trial, _model):
        visitor = trial.sign_up("loader")
        yield of_images(trial, visitor)
        image = visitor.get("/gallery/").decode().split('"/images/')[1][:36]
        units = {
            "studio_page": lambda: visitor.get("/"),
            "gallery_page": lambda: visitor.get("/gallery/"),
            "image_page": lambda: visitor.get(f"/images/{image}/"),
            "thumbnail": lambda: visitor.get(f"/images/{image}/thumbnail/"),
            "image_file": lambda: visitor.get(f"/images/{image}/file/"),
        }
        for name, ask in units.items():
            yield of_requests(trial, name, ask)
        yield from measure_replicas(trial, visitor)
        print(trial.manage("check_credits").strip(), flush=True)


def of_requests(trial: Trial, name: str, ask: Callable[[], object]) -> Figure:
    """CPU milliseconds of the web for one of these, one after the other."""
    for _request in range(WARM_UPS):
        ask()
    before = spent_s(trial)
    for _request in range(REQUESTS):
        ask()
    return _figure(name, before, spent_s(trial), REQUESTS)


def of_images(trial: Trial, visitor: Visitor) -> Figure:
    """The same for an image, ordered and drawn while its owner's page is open. The worker's share
    is that of a tiny model of random weights: nearly all of it is denoising."""
    connection = Connection(trial, visitor)
    threading.Thread(target=read_stream, args=[trial, connection], daemon=True).start()
    draw(trial, connection, WARM_UPS)
    before = spent_s(trial)
    draw(trial, connection, IMAGES)
    return _figure("image", before, spent_s(trial), IMAGES)


def draw(trial: Trial, connection: Connection, count: int) -> None:
    """Orders one after the other and hears what becomes of them, since asking would be work for
    the web. Raises TrialFailedError if they are not all stored in time."""
    news = News(trial)
    waited = {connection.request_image(FIELDS)[1] for _image in range(count)}
    end = time.monotonic() + DRAWN_WITHIN_S
    while waited and time.monotonic() < end:
        event = news.next(timeout_s=1.0)
        if event.get("state") == "stored":
            waited.discard(event["id"])
    news.close()
    if waited:
        raise TrialFailedError(f"{len(waited)} images were not drawn in {DRAWN_WITHIN_S:g} s")


def _figure(name: str, before: dict[str, float], after: dict[str, float], count: int) -> Figure:
    each_ms = {part: 1000 * (after[part] - before[part]) / count for part in PARTS}
    others = ", ".join(f"{part} {each_ms[part]:.1f}" for part in PARTS if part != "web")
    return Figure(f"load_{name}_ms", each_ms["web"], note=f"CPU of the web; {others}; of {count}")


def measure_replicas(trial: Trial, visitor: Visitor) -> Iterator[Figure]:
    """Two webs over one, in turns: pages a second if there are cores for it, or else what a page
    costs."""
    alone, both = [], []
    with second_web(trial) as (second, port):
        webs = {trial.port: trial.pid("web"), port: second}
        for _turn in range(TURNS):
            alone.append(saturate({trial.port: webs[trial.port]}, visitor))
            both.append(saturate(webs, visitor))
    one, two = _best(alone), _best(both)
    cores = os.cpu_count() or 1
    speed = (two.pages / two.seconds) / (one.pages / one.seconds)
    cost = (two.web_cpu_s / two.pages) / (one.web_cpu_s / one.pages)
    note = (
        f"{cores} cores; pages a second {speed:.2f}, CPU a page {cost:.2f} of one web's"
        f" {1000 * one.web_cpu_s / one.pages:.1f} ms; {READERS} readers, best of {TURNS}"
    )
    if cores >= CORES_FOR_TWO:
        yield Figure("replica_ratio", speed, FASTER_X, at_least=True, note=note)
    else:
        yield Figure("replica_ratio", cost, DEARER_X, note=note)


def _best(turns: list[Served]) -> Served:
    """The turn with the cheapest page: whatever else the machine does makes pages dearer."""
    return min(turns, key=lambda turn: turn.web_cpu_s / turn.pages)


def saturate(webs: dict[int, int], visitor: Visitor) -> Served:
    """What `webs` (port -> pid) serve of a page that readers ask for without a pause, each reader
    on a connection of its own."""
    end = time.monotonic() + SATURATED_S
    before_s, began = sum(map(tree_cpu_s, webs.values())), time.monotonic()
    ports = [list(webs)[number % len(webs)] for number in range(READERS)]
    with ThreadPoolExecutor(READERS) as readers:
        pages = sum(readers.map(lambda port: read_until(end, port, visitor), ports))
    spent = sum(map(tree_cpu_s, webs.values())) - before_s
    return Served(pages, time.monotonic() - began, spent)


def read_until(end: float, port: int, visitor: Visitor) -> int:
    """How many gallery pages were read until the moment; raises TrialFailedError for any that was
    no success."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
    cookie, pages = f"sessionid={visitor.cookie('sessionid')}", 0
    while time.monotonic() < end:
        connection.request("GET", "/gallery/", headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise TrialFailedError(f"a page under load was {answer.status}")
        pages += 1
    connection.close()
    return pages


@contextmanager
def second_web(trial: Trial) -> Iterator[tuple[int, int]]:
    """(pid, port) of another web process of the same studio. Raises TrialFailedError if it does
    not answer."""
    port = free_port()
    command = [sys.executable, "-m", "webapp.serve", "--host", "127.0.0.1", "--port", str(port)]
    log = trial.folder / "second-web.log"
    with log.open("wb") as output:
        web = subprocess.Popen(
            command,
            cwd=trial.checkout,
            env=trial.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_page(f"http://127.0.0.1:{port}")
        yield web.pid, port
    finally:
        web.terminate()
        web.wait(STOP_TIMEOUT_S)


def wait_for_page(url: str) -> None:
    """Returns with the first page; raises TrialFailedError after `START_TIMEOUT_S`."""
    end = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            Visitor(url).get("/accounts/login/")
        except TrialFailedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return


def spent_s(trial: Trial) -> dict[str, float]:
    """CPU seconds of each part until now."""
    return {part: tree_cpu_s(trial.pid(part)) for part in PARTS}


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process, of those that it has waited for, and of its children that live."""
    process = psutil.Process(pid)
    seconds = sum(process.cpu_times()[:4])
    for child in process.children():
        with suppress(psutil.NoSuchProcess):
            seconds += sum(child.cpu_times()[:2])
    return float(seconds)
