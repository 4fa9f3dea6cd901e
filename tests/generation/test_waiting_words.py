"""Waiting images and images in progress in words: the same on the server and in the script."""

import pytest

from webapp.generation.live.strings import say_left, say_place, say_wait
from webapp.generation.queueing.places import Place
from worker.pace import StepPace


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "next in line"),
        (2, "2nd in line"),
        (3, "3rd in line"),
        (4, "4th in line"),
        (11, "11th in line"),
        (12, "12th in line"),
        (13, "13th in line"),
        (21, "21st in line"),
        (102, "102nd in line"),
        (111, "111th in line"),
        (None, "no worker uses this model now"),
    ],
)
def test_a_place_is_an_ordinal(number: int | None, words: str) -> None:
    assert say_place(Place(number)) == words


def test_nothing_known_is_plain_waiting() -> None:
    assert (say_place(None), say_wait(None), say_left(None)) == ("waiting", "", "")
    assert say_wait(Place(3)) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "about 1 s"),
        (10, "about 10 s"),
        (11, "about 15 s"),
        (40, "about 40 s"),
        (55, "about 55 s"),
        (56, "about 1 min"),
        (61, "about 2 min"),
        (3540, "about 59 min"),
        (3541, "about 1 h"),
        (3601, "about 2 h"),
    ],
)
def test_seconds_are_rounded_upwards_and_no_finer_than_known(seconds: int, words: str) -> None:
    assert say_wait(Place(1, seconds)) == words
    assert say_left(seconds - 0.2) == f"{words} left"


def test_a_picture_that_is_nearly_done_does_not_say_zero() -> None:
    assert say_left(0.0) == "about 1 s left"


def test_the_pace_of_the_steps_tells_what_is_left() -> None:
    pace = StepPace()
    assert pace.left_s(step=0, steps=30, now_s=95.0) is None
    assert pace.left_s(step=2, steps=30, now_s=100.0) is None, "one step alone is no pace"
    assert pace.left_s(step=12, steps=30, now_s=105.0) == pytest.approx(9.0)
    assert pace.left_s(step=30, steps=30, now_s=114.0) == 0.0
