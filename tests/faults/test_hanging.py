"""Servers that stand still (SIGSTOP) on a real studio: who asks is told in time, nothing is lost,
and all goes on by itself afterwards.
"""

import time

import pytest

from tests.faults.processes import standing_still
from tests.faults.studio import Studio, wait_until
from tests.trial import TrialFailedError

pytestmark = pytest.mark.faults

SOON_S = 3.0  # on a busy machine
AWAY_S = 9.0  # a wait for a connection, then one for its answer
BACK_S = 5.0


def seconds_of(studio: Studio, path: str) -> tuple[float, str]:
    """How long a page took, and what was wrong with it ("" for nothing)."""
    began = time.monotonic()
    try:
        studio.visitor.get(path)
    except TrialFailedError as error:
        return time.monotonic() - began, str(error)
    return time.monotonic() - began, ""


def test_images_are_asked_for_while_valkey_stands_still_and_drawn_afterwards(
    studio: Studio,
) -> None:
    seconds_of(studio, "/")
    with standing_still(studio.trial.pid("valkey")):
        seconds_of(studio, "/")  # the first one waits
        began = time.monotonic()
        ids = [one for _turn in range(5) for one in studio.order(1)]
        assert time.monotonic() - began < 2 * 5 * SOON_S, "an order and a page each"
        for path in ("/gallery/", "/studio/state/", "/healthz/"):
            seconds, wrong = seconds_of(studio, path)
            assert (wrong, seconds < SOON_S) == ("", True)
    ended = studio.wait_until_ended(ids)
    assert {image["state"] for image in ended.values()} == {"stored"}
    studio.check_books()


def test_pages_say_in_time_that_postgresql_stands_still_and_are_back_soon_after(
    studio: Studio,
) -> None:
    seconds_of(studio, "/")
    with standing_still(studio.trial.pid("postgres")):
        seconds, wrong = seconds_of(studio, "/")
        assert "answered 503" in wrong
        assert seconds < AWAY_S
        for path in ("/gallery/", "/readyz/"):
            seconds, wrong = seconds_of(studio, path)
            assert "answered 503" in wrong
            assert seconds < SOON_S
    began = time.monotonic()
    wait_until(lambda: not seconds_of(studio, "/gallery/")[1])
    assert time.monotonic() - began < BACK_S
    ids = studio.order(1)
    assert studio.wait_until_ended(ids)[ids[0]]["state"] == "stored"
    studio.check_books()
