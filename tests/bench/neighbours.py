"""What people notice of a neighbour that is ended, restarted or hangs: PostgreSQL, Valkey, S3."""

import http.client
import logging
import os
import signal
import statistics
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import psycopg
from moto.server import ThreadedMotoServer

from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.faults.hanging_proxy import HangingProxy
from tests.trial import Trial, TrialFailedError, Visitor
from webapp.embedded.paths import VarLayout

LIMIT_S = 20.0  # nobody looks at an empty page for longer; what took so long counts as so long
POOL = 24
GOOD_IN_A_ROW = 30
WATCHED_S = 60.0
POSTS, POSTERS, EVERY_S = 30, 6, 0.25
THUMBNAILS = 30
MEASURED_S = 8.0
PAGES = ("/", "/gallery/", "/accounts/login/", "/healthz/")
FIELDS = {
    "model": "tiny",
    "prompt": "a fox at dusk",
    "count": "1",
    "width": "128",
    "height": "128",
    "steps": "4",
    "quoted_each_ucr": "200000",
}
BUCKET = "darkroom-bench"
KEYS = {"DARKROOM_S3_ACCESS_KEY": "an-access-key", "DARKROOM_S3_SECRET_KEY": "a-secret-key"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: its seconds, and whether it was answered with what was asked for."""

    seconds: float
    is_good: bool


class Reader:
    """One signed-in visitor, whose requests may run beside each other."""

    def __init__(self, trial: Trial, name: str) -> None:
        self.port = trial.port
        self.visitor: Visitor = trial.sign_up(name)
        cookies = {one: self.visitor.cookie(one) for one in ("csrftoken", "sessionid")}
        self.headers = {
            "Accept": "text/html",
            "Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items()),
            "X-CSRFToken": cookies["csrftoken"],
        }

    def get(self, path: str) -> Answer:
        """A page, a redirect too, in a connection of its own."""
        return self._ask("GET", path, None, self.headers)

    def order(self, _number: int = 0) -> Answer:
        """An image asked for."""
        fields = {**FIELDS, "idempotency_key": uuid.uuid4().hex}
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        body = urllib.parse.urlencode(fields)
        return self._ask("POST", "/generations/", body, {**self.headers, **kind})

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            is_good = answer.status < http.HTTPStatus.BAD_REQUEST
        except (OSError, http.client.HTTPException):
            is_good = False
        finally:
            connection.close()
        return Answer(time.monotonic() - began, is_good)


def measure_neighbours(bench: Bench) -> Iterator[Figure]:
    """Each fault on each side, in turns."""
    for name, measure in (
        ("db_back_s", measure_database_back),
        ("valkey_hang_post_s", measure_valkey_hang),
        ("s3_hang_ratio", measure_bucket_hang),
    ):
        for side, checkout in bench.checkouts.items():
            for figure in measure(bench, name, checkout):
                yield figure if side == "now" else as_base(figure)


def as_base(figure: Figure) -> Figure:
    """The same measured on the base, which has no goal."""
    return Figure(f"base_{figure.name}", figure.measured, note=figure.note)


def measure_database_back(bench: Bench, name: str, checkout: Path) -> Iterator[Figure]:
    """Seconds until pages are served for good: after every connection was ended, and after
    PostgreSQL was killed, from the moment when it takes connections again."""
    with bench.running(name, checkout=checkout) as (trial, _model):
        reader = Reader(trial, "reader")
        fill_pool(reader)
        end_connections(trial)
        seconds, bad = seconds_until_good(reader)
        yield Figure("db_back_s", seconds, 2.0, note=f"every connection ended, {bad} pages away")
        fill_pool(reader)
        os.kill(trial.pid("postgres"), signal.SIGINT)
        wait_until_it_takes_connections(trial)
        seconds, bad = seconds_until_good(reader)
        yield Figure("db_restart_s", seconds, 2.0, note=f"restarted, {bad} pages away afterwards")


def fill_pool(reader: Reader) -> None:
    """As many pages at once as the pool has connections, a few times."""
    with ThreadPoolExecutor(POOL) as visitors:
        list(visitors.map(reader.get, ["/"] * (4 * POOL)))


def end_connections(trial: Trial) -> None:
    """`pg_terminate_backend` for all of the studio's."""
    url = VarLayout(trial.var).postgres_url()
    with psycopg.connect(url, user="postgres", autocommit=True) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE usename = 'darkroom' AND pid <> pg_backend_pid()"
        )


def wait_until_it_takes_connections(trial: Trial) -> None:
    """Returns with the first connection; raises TrialFailedError after a minute."""
    deadline = time.monotonic() + WATCHED_S
    time.sleep(0.5)  # until the old one has closed its socket
    while time.monotonic() < deadline:
        try:
            with psycopg.connect(VarLayout(trial.var).postgres_url()) as database:
                database.execute("SELECT 1")
                return
        except psycopg.OperationalError:
            time.sleep(0.02)
    raise TrialFailedError("PostgreSQL did not come back")


def seconds_until_good(reader: Reader) -> tuple[float, int]:
    """(seconds until the last page that was away had ended, how many were away)."""
    began = time.monotonic()
    last_bad_at, bad, good_in_a_row = began, 0, 0
    while good_in_a_row < GOOD_IN_A_ROW and time.monotonic() - began < WATCHED_S:
        answer = reader.get("/")
        good_in_a_row = good_in_a_row + 1 if answer.is_good else 0
        if not answer.is_good:
            last_bad_at, bad = time.monotonic(), bad + 1
    return last_bad_at - began, bad


def measure_valkey_hang(bench: Bench, name: str, checkout: Path) -> Iterator[Figure]:
    """Valkey stops (SIGSTOP) while images are asked for and pages looked at."""
    with bench.running(name, checkout=checkout) as (trial, _model):
        posters = [Reader(trial, f"poster{number}") for number in range(POSTERS)]
        reader = Reader(trial, "reader")
        for one in (*posters, reader):
            one.get("/")
            one.order()
        with ThreadPoolExecutor(POSTERS) as people:
            idle = [answer for mine in people.map(order_many, posters) for answer in mine]
        with stopped(trial.pid("valkey")), ThreadPoolExecutor(POSTERS + 1) as people:
            pages = people.submit(look_around, reader, lambda turn: turn < POSTS)
            orders = list(people.map(order_many, posters))
            away = sum(not page.is_good for page in pages.result())
        answers = [answer for mine in orders for answer in mine]
        refused = sum(not answer.is_good for answer in answers)
        note = (
            f"{len(answers)} requests from {POSTERS} people, {refused} refused; p95 was"
            f" {p95_s(idle):.2f} s before"
        )
        yield Figure("valkey_hang_post_s", p95_s(answers), 1.0, note=note)
        note = f"of {len(pages.result())} pages and {len(answers)} requests"
        yield Figure("valkey_hang_away", away + refused, 0.0, note=note)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def order_many(reader: Reader) -> list[Answer]:
    """One user's requests, one after the other."""
    answers = []
    for number in range(POSTS // POSTERS):
        answers.append(reader.order(number))
        time.sleep(EVERY_S)
    return answers


def look_around(reader: Reader, goes_on: Callable[[int], bool]) -> list[Answer]:
    """Each page in turn, as long as `goes_on` says of the number of pages so far."""
    answers: list[Answer] = []
    while goes_on(len(answers)):
        answers.append(reader.get(PAGES[len(answers) % len(PAGES)]))
        time.sleep(0.02)
    return answers


def look_for(reader: Reader, seconds: float) -> list[Answer]:
    """The same for so long."""
    end = time.monotonic() + seconds
    return look_around(reader, lambda _turn: time.monotonic() < end)


def measure_bucket_hang(bench: Bench, name: str, checkout: Path) -> Iterator[Figure]:
    """The bucket hangs, and thirty thumbnails are asked for at once; what others see meanwhile."""
    with bucket() as proxy:
        settings = {
            "DARKROOM_S3_BUCKET": BUCKET,
            "DARKROOM_S3_ENDPOINT": proxy.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            **KEYS,
        }
        with bench.running(name, settings, checkout=checkout) as (trial, _model):
            owner, other = Reader(trial, "owner"), Reader(trial, "other")
            paths = draw_thumbnails(owner.visitor)
            for path in paths:
                owner.get(path)
            look_for(other, 2.0)
            idle = look_for(other, MEASURED_S)
            proxy.hang()
            with ThreadPoolExecutor(THUMBNAILS) as browsers:
                waiting = [browsers.submit(owner.get, path) for path in paths]
                hanging = look_for(other, MEASURED_S)
                answered = [one.result() for one in waiting]
            proxy.resume()
        yield from ratio_of(idle, hanging, answered)


def ratio_of(idle: list[Answer], hanging: list[Answer], answered: list[Answer]) -> Iterator[Figure]:
    """The figures of a bucket that hangs."""
    before_s, meanwhile_s = p95_s(idle), p95_s(hanging)
    slowest_s = max(one.seconds for one in answered)
    note = (
        f"p95 {1000 * meanwhile_s:.0f} ms of {len(hanging)} pages, {1000 * before_s:.0f} idle;"
        f" thumbnails were given up within {slowest_s:.1f} s"
    )
    yield Figure("s3_hang_ratio", meanwhile_s / before_s, 1.5, note=note)
    away = sum(not one.is_good for one in hanging)
    yield Figure("s3_hang_away", away, 0.0, note=f"of {len(hanging)} other pages")


def p95_s(answers: list[Answer]) -> float:
    """The 95th percentile; of a single one its own."""
    seconds = [one.seconds for one in answers]
    return statistics.quantiles(seconds * 2, n=20)[-1]


def draw_thumbnails(visitor: Visitor) -> list[str]:
    """Thirty addresses of thumbnails that are stored by now."""
    ids = visitor.request_images(**{**FIELDS, "count": "4"})
    ended = visitor.wait_until_ended(ids, timeout_s=120.0)
    if any(one["state"] != "stored" for one in ended.values()):
        raise TrialFailedError(f"an image was not stored in the bucket: {ended}")
    return [f"/images/{ids[number % len(ids)]}/thumbnail/" for number in range(THUMBNAILS)]


@contextmanager
def bucket() -> Iterator[HangingProxy]:
    """An S3 server with a bucket, behind a proxy that can hang."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    host, port = server.get_host_and_port()
    try:
        with HangingProxy(upstream=(host, port)) as proxy:
            client = boto3.client(
                "s3",
                endpoint_url=f"http://{host}:{port}",
                region_name="us-east-1",
                aws_access_key_id=KEYS["DARKROOM_S3_ACCESS_KEY"],
                aws_secret_access_key=KEYS["DARKROOM_S3_SECRET_KEY"],
            )
            client.create_bucket(Bucket=BUCKET)
            yield proxy
    finally:
        server.stop()
