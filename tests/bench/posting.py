"""How long a request takes to be accepted while pictures are being drawn."""

import http.client
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from tests.bench.connection import Connection, read_row
from tests.bench.figures import Figure
from webapp.operations.trial import Trial, TrialFailedError

RATE_HZ = 20.0
LENGTH_S = 20.0
USERS = 8
WARM_UP_REQUESTS = 3
P95_MS = 30.0


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: seconds from its due time to its answer, and what it began."""

    seconds: float
    generation_id: str
    image_id: str


def measure_posts(trial: Trial, fields: dict[str, str]) -> Figure:
    """The 95th percentile of an open loop: a request is due whether or not the one before it was
    answered, and its time counts from when it was due. Each user also has a page open."""
    visitors = [trial.sign_up(f"poster{number}") for number in range(USERS)]
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
    times_ms = sorted(1000 * one.seconds for mine in answered for one in mine)
    return Figure(
        "post_p95_ms",
        statistics.quantiles(times_ms, n=20)[-1],
        P95_MS,
        note=f"{len(times_ms)} requests at {RATE_HZ:g}/s, median {statistics.median(times_ms):.0f},"
        f" slowest {times_ms[-1]:.0f}; {drawn} images drawn meanwhile; {USERS} pages open",
    )


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
