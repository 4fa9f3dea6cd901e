"""A request that is sent twice happens once: who acts, who is told to wait, who may try again."""

import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from webapp.core import idempotency
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.idempotency import purge_old_keys, run_once
from webapp.core.models import IdempotencyKey, Notice

pytestmark = pytest.mark.django_db(transaction=True)

BODY = {"amount": "5", "reason": "prize"}


def act() -> dict[str, Any]:
    """Leaves one row for each time that it was committed."""
    notice = Notice.objects.create(code=uuid.uuid4().hex, sentence="done")
    return {"notice": notice.pk, "lines": [1, 2]}


def run(body: Mapping[str, Any] | str = BODY, key: str = "k1", scope: str = "topup:1") -> Any:
    return run_once(scope=scope, key=key, body=body, act=act)


def times_done() -> int:
    return Notice.objects.count()


def leave_running(*, seconds: float) -> IdempotencyKey:
    """A claim whose holder has been silent for so long."""
    run()
    Notice.objects.all().delete()
    found = IdempotencyKey.objects.get()
    found.state, found.answer = IdempotencyKey.State.RUNNING, None
    found.started_at = timezone.now() - timedelta(seconds=seconds)
    found.save()
    return found


def test_the_same_request_twice_is_done_once_and_answered_the_same() -> None:
    assert run() == run()
    assert times_done() == 1


def test_the_order_of_the_fields_is_no_difference() -> None:
    assert run() == run({"reason": "prize", "amount": "5"})


def test_a_body_may_be_text() -> None:
    assert run("a,5\nb,6") == run("a,5\nb,6")
    with pytest.raises(Conflict, match="other content"):
        run("a,5\nb,7")


def test_the_same_key_with_another_body_is_refused() -> None:
    run()
    with pytest.raises(Conflict, match="other content"):
        run({**BODY, "amount": "6"})
    assert times_done() == 1


def test_another_key_or_scope_is_another_request() -> None:
    run()
    run(key="k2")
    run(scope="topup:2")
    assert times_done() == 3


@pytest.mark.parametrize("key", ["", "x" * 65, "a\nb"])
def test_a_key_is_short_and_printable(key: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 64 characters"):
        run(key=key)
    assert times_done() == 0


def test_what_failed_is_undone_and_may_be_sent_again_corrected() -> None:
    def fail() -> dict[str, Any]:
        act()
        raise InvalidInput("No.", field="amount")

    with pytest.raises(InvalidInput, match="No"):
        run_once(scope="topup:1", key="k1", body=BODY, act=fail)
    assert times_done() == 0
    run({**BODY, "amount": "6"})
    assert times_done() == 1


def test_a_claim_outlives_a_database_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def go_away(*_args: object) -> None:
        monkeypatch.setattr("django.db.models.query.QuerySet.delete", go_away)
        raise OperationalError("gone")

    monkeypatch.setattr(idempotency, "_act_and_answer", go_away)
    with pytest.raises(OperationalError, match="gone"):
        run()
    assert IdempotencyKey.objects.get().state == "running"


def test_what_still_runs_is_answered_409() -> None:
    leave_running(seconds=59)
    with pytest.raises(Conflict, match="still in progress") as refused:
        run()
    assert refused.value.status == 409
    assert times_done() == 0


def test_what_was_silent_for_a_minute_is_taken_over() -> None:
    lost = leave_running(seconds=61)
    run()
    assert times_done() == 1
    found = IdempotencyKey.objects.get()
    assert (found.state, found.token == lost.token) == ("done", False)


def test_what_was_lost_with_another_body_is_not_taken_over() -> None:
    leave_running(seconds=61)
    with pytest.raises(Conflict, match="other content"):
        run({**BODY, "amount": "6"})


def test_a_key_is_forgotten_after_a_day_at_use_and_every_night() -> None:
    run()
    run(key="k2")
    yesterday = timezone.now() - timedelta(hours=24, seconds=1)
    IdempotencyKey.objects.update(started_at=yesterday)
    run({**BODY, "amount": "6"})
    assert times_done() == 3
    assert purge_old_keys() == 1
    assert [found.key for found in IdempotencyKey.objects.all()] == ["k1"]


def test_a_key_of_less_than_a_day_is_kept() -> None:
    run()
    IdempotencyKey.objects.update(started_at=timezone.now() - timedelta(hours=23, minutes=59))
    assert purge_old_keys() == 0
    run()
    assert times_done() == 1


def test_it_must_not_run_inside_another_transaction() -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        run()


class Racers:
    """Threads with a connection each, closed at their end."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool

    def start(self, do: Any) -> Any:
        return self.pool.submit(self._close_after, do)

    @staticmethod
    def _close_after(do: Any) -> Any:
        try:
            return do()
        except Conflict as refused:
            return refused.sentence
        finally:
            connection.close()


@pytest.fixture
def racers() -> Iterator[Racers]:
    with ThreadPoolExecutor(16) as pool:
        yield Racers(pool)


def test_of_sixteen_at_once_one_acts_and_the_others_wait_or_hear_its_answer(
    racers: Racers,
) -> None:
    for turn in range(5):
        ready = Barrier(16)

        def send(ready: Barrier = ready, turn: int = turn) -> Any:
            ready.wait()
            return run(key=f"k{turn}")

        outcomes = [race.result() for race in [racers.start(send) for _ in range(16)]]
        answers = [one for one in outcomes if isinstance(one, dict)]
        assert answers
        assert all(one == answers[0] for one in answers)
        assert {one for one in outcomes if isinstance(one, str)} <= {
            "This is still in progress. Wait a moment, then check again."
        }
        assert times_done() == turn + 1


def test_a_lost_run_that_comes_back_cannot_commit(racers: Racers) -> None:
    acting, taken_over = Event(), Event()

    def act_slowly() -> dict[str, Any]:
        acting.set()
        assert taken_over.wait(10)
        return act()

    slow = racers.start(lambda: run_once(scope="topup:1", key="k1", body=BODY, act=act_slowly))
    assert acting.wait(10)
    IdempotencyKey.objects.update(started_at=timezone.now() - timedelta(seconds=61))
    answer = run()
    taken_over.set()
    assert "started again" in slow.result()
    assert times_done() == 1
    assert run() == answer


def test_a_run_that_fails_while_another_waits_leaves_the_key_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its row is gone between the other's claim and its look: the other claims anew."""
    running = leave_running(seconds=1)
    first = IdempotencyKey.objects.bulk_create
    calls = []

    def create_then_lose(rows: list[IdempotencyKey], **options: Any) -> Any:
        calls.append(1)
        made = first(rows, **options)
        if len(calls) == 1:
            running.delete()
        return made

    monkeypatch.setattr(IdempotencyKey.objects, "bulk_create", create_then_lose)
    run()
    assert (len(calls), times_done()) == (2, 1)
