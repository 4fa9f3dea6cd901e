"""SIGTERM to the whole studio while it draws: nothing is left running, and nothing is lost."""

import signal

import pytest

from tests.embedded.harness import processes_of
from tests.faults.studio import Studio

pytestmark = pytest.mark.faults


def test_a_stopped_studio_leaves_no_process_and_draws_the_rest_after_its_next_start(
    studio: Studio,
) -> None:
    ids = studio.order(10, steps="40")
    studio.wait_until_running(ids)
    assert len(processes_of(studio.trial.var)) >= 5
    assert studio.trial.stop(signal.SIGTERM) == 0
    assert processes_of(studio.trial.var) == []
    studio.trial.start()
    ended = studio.wait_until_ended(ids)
    assert {image["state"] for image in ended.values()} == {"stored"}
    assert [image["attempt"] for image in studio.images(ids)] == [1] * 10
    studio.check_books()
