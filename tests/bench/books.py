"""How the ledger's pages answer when it is long: `make bench ONLY=books`.

Two throw-away servers, 100,000 people and 1,000,000 lines of which one person has a tenth, made
by SQL. Pages are asked for by Django's test client, warm: server time without the network. A
figure is the 95th percentile of the slowest page, so that every page is below it.
"""

import json
import math
import os
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tests.bench.apart import measure_apart
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.trial import TrialFailedError

if TYPE_CHECKING:
    from django.test import Client

    from webapp.accounts.models import User

PEOPLE = 100_000
LINES = 1_000_000
NOT_CHARGED = 100_000
TOPPED_UP = 10_000
REPEATS = 40
WARM_UPS = 2
STATEMENT_X, USERS_X, LEDGER_X, TOP_UP_S = 7.0, 15.0, 14.0, 10.0
BLANK_PAGE = "/gallery/"


@dataclass(frozen=True, slots=True)
class Asked:
    """One page, asked for again and again, and the queries of one answer."""

    path: str
    queries: int
    times_ms: list[float] = field(default_factory=list)

    @property
    def p95_ms(self) -> float:
        """The time that 19 of 20 answers keep."""
        return statistics.quantiles(self.times_ms, n=20, method="inclusive")[-1]

    @property
    def median_ms(self) -> float:
        """The time that half of the answers keep."""
        return statistics.median(self.times_ms)


def measure_books(_bench: Bench) -> Iterator[Figure]:
    """Each figure, from a process that has its own servers; raises TrialFailedError."""
    return measure_apart("tests.bench.books")


def measure_inside() -> None:
    """Makes the data and prints the figures as JSON on the last line."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from tests.bench.bulk import Bulk, check_bulk, make_bulk
    from tests.people import make_model, make_user

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    begun = time.monotonic()
    bulk = Bulk(people=PEOPLE, lines=LINES, released=NOT_CHARGED)
    person = make_bulk(bulk, model_id=make_model().pk, triggers=False)
    check_bulk()
    with connection.cursor() as cursor:
        # As the server itself does within minutes; otherwise it would while we measure.
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    admin = make_user("charlie", is_staff=True, is_superuser=True)
    _tell(f"{PEOPLE:,} people and {LINES:,} lines made in {time.monotonic() - begun:.0f} s")
    figures = [
        measure_top_up(admin),
        *measure_statement(person),
        *measure_list(
            "admin_users", admin, "/admin/accounts/user/", ["q=person77777@"], wanted_x=USERS_X
        ),
        *measure_list(
            "admin_ledger",
            admin,
            "/admin/credits/transaction/",
            ["q=person1@example.org", "q=person77777@example.org", "kind__exact=top_up"],
            wanted_x=LEDGER_X,
        ),
    ]
    print(json.dumps(figures))


def measure_top_up(admin: "User") -> dict[str, Any]:
    """Ten thousand people in one batch, with everything the database checks about it."""
    from webapp.accounts.models import User
    from webapp.credits.ledger import top_up_many

    people = list(User.objects.exclude(pk=admin.pk).values_list("pk", flat=True)[:TOPPED_UP])
    lines = [(pk, 5_000_000) for pk in people]
    seconds = []
    for _batch in range(3):
        begun = time.monotonic()
        top_up_many(batch_id=uuid.uuid4(), lines=lines, actor=admin, reason="a prize")
        seconds.append(time.monotonic() - begun)
    note = f"{len(lines)} people in one batch, median of 3, slowest {max(seconds):.1f}; fsync on"
    return _figure("topup_10k_s", statistics.median(seconds), TOP_UP_S, note)


def measure_statement(person: "User") -> list[dict[str, Any]]:
    """The first page, one in the middle, the last, and each filter."""
    from webapp.statements.filters import KINDS

    client = sign_in(person)
    middle, last = _cursors(person)
    queries = ["", f"before={middle}", f"before={last}"]
    queries += [f"kind={kind}" for kind in KINDS if kind]
    queries += [f"until={_day(person, middle)}", f"kind=code&until={_day(person, last)}"]
    asked = ask_all(client, [f"/credits/?{query}" for query in queries])
    return _summary("statement_100k", asked, STATEMENT_X)


def measure_list(
    name: str, admin: "User", path: str, queries: list[str], *, wanted_x: float
) -> list[dict[str, Any]]:
    """The first, middle and last page of a list of the admin site, and what is looked for."""
    client = sign_in(admin)
    pages = _count_pages(client, path)
    asked = ["", f"p={math.ceil(pages / 2)}", f"p={pages}", *queries]
    return _summary(name, ask_all(client, [f"{path}?{query}" for query in asked]), wanted_x)


def ask_all(client: "Client", paths: list[str]) -> tuple[list[Asked], Asked]:
    """The pages' times, asked for in turns, so that whatever else the machine does meets all of
    them alike; and in the same turns an empty page, that of a person who has nothing. Raises
    TrialFailedError if one is not an answer."""
    onlooker = sign_in(_onlooker())
    pages = [_first_answer(client, path) for path in paths]
    blank = _first_answer(onlooker, BLANK_PAGE)
    asked = [(client, page) for page in pages] + [(onlooker, blank)]
    for number in range(WARM_UPS + REPEATS):
        for who, page in asked:
            begun = time.perf_counter()
            who.get(page.path)
            if number >= WARM_UPS:
                page.times_ms.append(1000 * (time.perf_counter() - begun))
    for _who, page in asked:
        _tell(
            f"  {page.p95_ms:7.1f} ms p95 {page.median_ms:7.1f} ms median"
            f" {page.queries:3} queries  {page.path}"
        )
    return pages, blank


def _onlooker() -> "User":
    from tests.people import make_user
    from webapp.accounts.models import User

    return User.objects.filter(email="onlooker@example.org").first() or make_user("onlooker")


def _first_answer(client: "Client", path: str) -> Asked:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        answer = client.get(path)
    if answer.status_code != HTTPStatus.OK:
        raise TrialFailedError(f"{path} answered {answer.status_code}")
    return Asked(path, queries=len(captured))


def _summary(name: str, asked: tuple[list[Asked], Asked], wanted_x: float) -> list[dict[str, Any]]:
    pages, blank = asked
    slowest = max(pages, key=lambda page: page.p95_ms)
    medians = [page.median_ms for page in pages]
    note = (
        f"p95 of the slowest of {len(pages)} pages ({slowest.path}); medians"
        f" {min(medians):.0f} to {max(medians):.0f}; at most"
        f" {max(page.queries for page in pages)} queries"
    )
    ratio = f"slowest median, times that of an empty signed-in page, {blank.median_ms:.1f} ms"
    return [
        _figure(f"{name}_ms", slowest.p95_ms, None, note),
        _figure(f"{name}_x", max(medians) / blank.median_ms, wanted_x, ratio),
    ]


def _figure(name: str, measured: float, wanted: float | None, note: str) -> dict[str, Any]:
    return {"name": name, "measured": measured, "wanted": wanted, "note": note}


def sign_in(user: "User") -> "Client":
    """Django's own client, with that user's session."""
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def _count_pages(client: "Client", path: str) -> int:
    """As the list itself counts them. Only here is the test environment set up, which keeps every
    template's context: it would slow down what is measured."""
    from django.test.utils import setup_test_environment, teardown_test_environment

    setup_test_environment()
    try:
        return int(client.get(path).context["cl"].paginator.num_pages)
    finally:
        teardown_test_environment()


def _cursors(person: "User") -> tuple[str, str]:
    """Where a page in the middle of the statement begins, and where the last one does."""
    from webapp.credits.models import Entry, Hold
    from webapp.statements.lines import Cursor

    entries = Entry.objects.filter(account__user=person).order_by("pk")
    holds = Hold.objects.filter(account__user=person, state=Hold.State.RELEASED)
    middle = entries[entries.count() // 2]
    last = holds.order_by("resolved_at", "pk")[20]
    oldest = entries[20]
    assert last.resolved_at is not None
    return (
        str(Cursor(middle.pk, middle.at, 0)),
        str(Cursor(oldest.pk, last.resolved_at, last.pk)),
    )


def _day(person: "User", cursor: str) -> str:
    from webapp.statements.lines import Cursor

    return Cursor.read(cursor).hold_at.date().isoformat()


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    measure_inside()
