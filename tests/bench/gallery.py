"""How the gallery answers when it is full: `make bench ONLY=gallery`.

Two throw-away servers and 1,000,000 images, one a request, of which one person has a tenth.
Pages are asked for by Django's test client, warm: server time without the network. Each figure is
the median of its slowest page; the note says what 19 of 20 answers keep.
"""

import json
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.bench.apart import measure_apart
from tests.bench.bench import Bench
from tests.bench.books import Asked, ask_all
from tests.bench.figures import Figure
from tests.trial import TrialFailedError

if TYPE_CHECKING:
    from django.test import Client

    from webapp.accounts.models import User

PEOPLE = 10
PICTURES = 100_000
CLIENTS = 8
ROUNDS = 12
PAGE_X, EIGHT_X, QUERIES, SEARCH_X = 2.2, 20.0, 8.0, 10.0
PLACES = ("", "in=favourites", "in=bin", "to=2026-01-31")
# From words in every prompt to one in 256, none, several, and conditions.
SEARCHES = (
    "q=light", "q=dusk", "q=owl", "q=harbour", "q=winter", "q=desert", "q=zeppelin",
    "q=number+4711", "q=nothing", "q=fox+zepp", "shape=square", "style=anime",
    "q=winter&in=favourites",
)  # fmt: skip


def measure_gallery(_bench: Bench) -> Iterator[Figure]:
    """Each figure, from a process that has its own servers; raises TrialFailedError."""
    return measure_apart("tests.bench.gallery")


def measure_inside() -> None:
    """Makes the images and prints the figures as JSON on the last line."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    begun = time.monotonic()
    owner = hang_all()
    _tell(f"{PEOPLE * PICTURES:,} pictures made in {time.monotonic() - begun:.0f} s")
    client = Client(SERVER_NAME="localhost")
    client.force_login(owner)
    pages = ask_all(client, list(_deep_pages(client)))
    searches = ask_all(client, [f"/gallery/?{query}" for query in SEARCHES])
    print(
        json.dumps(
            [
                *_summary("gallery_page", pages, PAGE_X),
                _queries(pages[0]),
                *_summary("gallery_search", searches, SEARCH_X),
                *measure_eight(owner, pages),
            ]
        )
    )


def hang_all() -> "User":
    """Ten people's walls; returns the first of them. The index of words is made at the end."""
    from django.db import connection, transaction
    from django.utils import timezone

    from tests.bench.wall import hang_pictures, settle
    from tests.people import make_model, make_user
    from webapp.generation.models import Image

    model = make_model()
    people = [make_user(f"person{number}") for number in range(PEOPLE)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'generation_search'")
        [index] = cursor.fetchone()
        cursor.execute("DROP INDEX generation_search")
        for person in people:
            with transaction.atomic():
                cursor.execute("SET LOCAL session_replication_role = replica")
                hang_pictures(owner=person, model=model, pictures=PICTURES)
        cursor.execute(index)
        binned = Image.objects.filter(owner=people[0], seed__endswith="77")
        binned.update(binned_at=timezone.now())
        settle()
        cursor.execute("CHECKPOINT")
    return people[0]


def measure_eight(owner: "User", asked: tuple[list[Asked], Asked]) -> list[dict[str, Any]]:
    """The median of eight people who look at the same time, in one process."""
    from django.test import Client

    pages, blank = asked
    paths = [page.path for page in pages]

    def look(start: int) -> list[float]:
        client = Client(SERVER_NAME="localhost")
        client.force_login(owner)
        times = []
        for number in range(ROUNDS):
            begun = time.perf_counter()
            client.get(paths[(start + number) % len(paths)])
            times.append(1000 * (time.perf_counter() - begun))
        return times[2:]

    with ThreadPoolExecutor(CLIENTS) as pool:
        times = [one for of_client in pool.map(look, range(CLIENTS)) for one in of_client]
    note = f"{CLIENTS} clients at once, {len(times)} pages, slowest {max(times):.0f}"
    median_ms = statistics.median(times)
    ratio = f"times an empty page asked for alone, {blank.median_ms:.1f} ms"
    return [
        _figure("gallery_eight_ms", median_ms, None, note),
        _figure("gallery_eight_x", median_ms / blank.median_ms, EIGHT_X, ratio),
    ]


def _deep_pages(client: "Client") -> Iterator[str]:
    """Each place, and of the wall its fifth page and one after 90,000 images."""
    yield from (f"/gallery/?{query}" for query in PLACES)
    path = "/gallery/"
    for _page in range(4):
        found = re.search(
            r'href="(\?[^"]*cursor=[^"]+)" data-next', client.get(path).content.decode()
        )
        if found is None:
            raise TrialFailedError(f"{path} leads nowhere")
        path = "/gallery/" + found[1].replace("&amp;", "&")
    yield path
    yield f"/gallery/?cursor={_cursor_at(90_000)}"


def _cursor_at(number: int) -> str:
    from webapp.gallery.selectors import write_cursor
    from webapp.generation.models import Image

    shown = Image.objects.filter(owner__email__startswith="person0@", binned_at=None)
    image = shown.order_by("-finished_at", "-pk")[min(number, shown.count() - 100)]
    assert image.finished_at is not None
    return write_cursor(image.pk, image.finished_at)


def _summary(name: str, asked: tuple[list[Asked], Asked], wanted_x: float) -> list[dict[str, Any]]:
    pages, blank = asked
    slowest = max(pages, key=lambda page: page.median_ms)
    note = (
        f"median of the slowest of {len(pages)} ({slowest.path[:40]}), others from"
        f" {min(page.median_ms for page in pages):.0f}; p95 {max(one.p95_ms for one in pages):.0f}"
    )
    ratio = f"times an empty signed-in page in the same turns, {blank.median_ms:.1f} ms"
    return [
        _figure(f"{name}_ms", slowest.median_ms, None, note),
        _figure(f"{name}_x", slowest.median_ms / blank.median_ms, wanted_x, ratio),
    ]


def _queries(pages: list[Asked]) -> dict[str, Any]:
    most = max(page.queries for page in pages)
    return _figure("gallery_queries", most, QUERIES, "a page of 60, any place, any depth")


def _figure(name: str, measured: float, wanted: float | None, note: str) -> dict[str, Any]:
    return {"name": name, "measured": measured, "wanted": wanted, "note": note}


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    measure_inside()
