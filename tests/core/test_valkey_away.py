"""Valkey hangs: the first who asks waits a second, the others not at all, and what it counted and
kept is counted and kept here meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import redis
from django.core.cache import cache
from django.db import connection
from kombu.exceptions import OperationalError

from tests.faults.hanging_proxy import HangingProxy
from webapp.celery import app
from webapp.core import herald
from webapp.core.errors import TooMany
from webapp.core.herald import Herald
from webapp.core.neighbours import VALKEY, silent_neighbours
from webapp.core.rates import count_attempt, give_back_attempt
from webapp.core.valkey import TIMEOUT_S, valkey

pytest_plugins = ["tests.core.hanging"]

AT_ONCE_S = 0.3
BROKER_S = 12.0


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails the test if the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def push(number: int) -> None:
    valkey().rpush("numbers", number)


def test_the_first_who_asks_waits_and_the_others_do_not(hanging_valkey: HangingProxy) -> None:
    valkey().set("here", "1")
    hanging_valkey.hang()
    with within(TIMEOUT_S + AT_ONCE_S), pytest.raises(redis.TimeoutError):
        valkey().get("here")
    assert silent_neighbours() == ["Valkey"]
    with within(AT_ONCE_S):
        for _turn in range(20):
            with pytest.raises(redis.TimeoutError, match="known not to answer"):
                valkey().get("here")


def test_it_is_asked_again_soon_after_it_is_back(hanging_valkey: HangingProxy) -> None:
    valkey().set("here", "1")
    hanging_valkey.hang()
    with pytest.raises(redis.TimeoutError):
        valkey().get("here")
    hanging_valkey.resume()
    time.sleep(VALKEY.rest_s)
    with within(AT_ONCE_S):
        assert valkey().get("here") == "1"
    assert silent_neighbours() == []


def test_a_valkey_that_refuses_is_not_waited_for(hanging_valkey: HangingProxy) -> None:
    hanging_valkey.refuse()
    with within(AT_ONCE_S):
        for _turn in range(10):
            with pytest.raises(redis.ConnectionError):
                valkey().get("here")
    hanging_valkey.resume()
    assert valkey().ping()


def test_attempts_are_counted_and_limited_here_meanwhile(hanging_valkey: HangingProxy) -> None:
    hanging_valkey.hang()
    for _turn in range(3):
        count_attempt(name="door:alice", limit=3, window_s=120)
    with pytest.raises(TooMany, match="Try again in 2 minutes"):
        count_attempt(name="door:alice", limit=3, window_s=120)
    for _turn in range(8):  # what succeeded is given back, and counts for nothing
        count_attempt(name="door:bob", limit=3, window_s=120)
        give_back_attempt(name="door:bob")
    hanging_valkey.resume()
    time.sleep(VALKEY.rest_s)
    count_attempt(name="door:alice", limit=3, window_s=120)
    assert valkey().get("attempts:door:alice") == "1"
    valkey().delete("attempts:door:alice")


def test_what_is_cached_meanwhile_is_kept_in_this_process(hanging_valkey: HangingProxy) -> None:
    hanging_valkey.hang()
    with within(TIMEOUT_S + AT_ONCE_S):
        cache.set("known", [1, 2], 60)
        assert cache.get("known") == [1, 2]
        assert cache.add("known", "other", 60) is False
        assert cache.get_many(["known", "never"]) == {"known": [1, 2]}
        cache.set("times", 1)
        assert cache.incr("times", 2) == 3
        cache.delete("known")
        assert cache.get("known", "gone") == "gone"
        assert "times" in cache


@pytest.mark.django_db(transaction=True)
def test_no_database_connection_is_held_while_valkey_is_asked(
    hanging_valkey: HangingProxy,
) -> None:
    connection.ensure_connection()
    valkey().ping()
    assert connection.connection is None
    connection.ensure_connection()
    cache.get("anything")
    assert connection.connection is None


def test_what_is_told_is_waited_for_by_nobody(hanging_valkey: HangingProxy) -> None:
    hanging_valkey.hang()
    with within(AT_ONCE_S):
        for turn in range(100):
            herald.tell("a number", partial(push, turn))
        herald.send_task("webapp.operations.tasks.purge", what="a task")
    assert not herald.flush(timeout_s=0.1)
    assert herald.flush(timeout_s=TIMEOUT_S + 5)
    hanging_valkey.resume()


def test_what_is_told_is_sent_in_order(hanging_valkey: HangingProxy) -> None:
    for turn in range(50):
        herald.tell("a number", partial(push, turn))
    assert herald.flush()
    assert valkey().lrange("numbers", 0, -1) == [str(turn) for turn in range(50)]
    valkey().delete("numbers")


def test_a_mistake_and_a_full_queue_silence_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[int] = []
    small = Herald(most=3)

    def wrong() -> None:
        time.sleep(AT_ONCE_S)
        raise ZeroDivisionError

    small.tell("what is wrong", wrong)
    for turn in range(8):
        small.tell(f"number {turn}", partial(sent.append, turn))
    assert small.flush(timeout_s=5)
    small.tell("number 9", partial(sent.append, 9))
    assert small.flush(timeout_s=5)
    assert sent[:2] == [0, 1]
    assert sent[-1] == 9
    assert len(sent) <= 5
    assert "what is wrong was not sent" in caplog.text
    assert caplog.text.count("more waits to be sent than is kept") == 1


def test_a_broker_that_hangs_ends_what_is_sent_to_it(hanging_valkey: HangingProxy) -> None:
    """Celery's own connections are others than ours: they have a limit, too."""
    hanging_valkey.hang()
    broker = f"redis+socket://{hanging_valkey.address}?virtual_host=0"
    with (
        app.connection_for_write(broker) as connected,
        app.amqp.Producer(connected) as producer,
        within(BROKER_S),
        pytest.raises((OperationalError, redis.RedisError)),
    ):
        app.send_task("webapp.operations.tasks.purge", retry=False, producer=producer)
