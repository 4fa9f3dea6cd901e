"""A submission waits for PostgreSQL as seldom as it can: on a busy machine the waits are what it
takes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.round_trips import sent_together
from webapp.generation.live.feed import get_group, new_group
from webapp.generation.models import Image, QueueShare

pytestmark = pytest.mark.django_db(transaction=True)


def count_trips(act: Callable[[], object], *, trace: Path) -> int:
    """How often PostgreSQL said meanwhile that it is ready for the next query, by libpq's own
    trace: once for each statement that is waited for, once for all that are sent together."""
    connection.ensure_connection()
    with trace.open("w") as file:
        connection.connection.pgconn.trace(file.fileno())
        try:
            act()
        finally:
            connection.connection.pgconn.untrace()  # which writes its last line, too
    return trace.read_text().count("ReadyForQuery")


def test_what_is_sent_together_is_one_trip(tmp_path: Path, alice: User) -> None:
    def apart() -> None:
        with transaction.atomic():
            _touch(alice)

    def together() -> None:
        with transaction.atomic(), sent_together():
            _touch(alice)

    assert count_trips(apart, trace=tmp_path / "apart") == 5  # BEGIN, three statements, COMMIT
    # BEGIN is a trip of its own in psycopg's pipelines, too (3.3.9): then all three, and COMMIT.
    assert count_trips(together, trace=tmp_path / "together") == 3


def test_a_submission_takes_five_trips(
    tmp_path: Path, alice: User, offered_model: DiffusionModel
) -> None:
    trips = count_trips(lambda: submit(alice, offered_model, count=4), trace=tmp_path / "trips")
    assert trips == 5  # the price; BEGIN; rows and hold; the queue; COMMIT


def _touch(owner: User) -> None:
    with connection.cursor() as cursor:
        for _time in range(3):
            cursor.execute("SELECT set_config('darkroom.touched', %s, true)", [str(owner.pk)])


def test_a_statement_that_fails_among_those_sent_together_is_told_as_djangos_error(
    alice: User, offered_model: DiffusionModel
) -> None:
    QueueShare.objects.create(owner=alice, model=offered_model)
    with pytest.raises(IntegrityError), transaction.atomic(), sent_together():
        QueueShare.objects.bulk_create([QueueShare(pk=77, owner=alice, model=offered_model)])
    assert QueueShare.objects.count() == 1


def test_the_new_group_shows_what_another_look_would_show(
    alice: User, offered_model: DiffusionModel
) -> None:
    generation = submit(alice, offered_model, count=3)
    shown = new_group(generation)
    looked_up = get_group(owner=alice, generation_id=generation.pk)
    assert [tile.image for tile in shown.tiles] == [tile.image for tile in looked_up.tiles]
    assert [tile.version for tile in shown.tiles] == [tile.version for tile in looked_up.tiles]
    assert shown.is_live
    assert shown.not_charged == 0
    assert {tile.image.state for tile in shown.tiles} == {Image.State.QUEUED}
