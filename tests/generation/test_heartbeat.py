"""A worker that lives is heard, whatever its figures do."""

import logging
from typing import Any

import pytest

from webapp.catalog.models import DiffusionModel
from webapp.generation.queueing import heartbeat

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]


class Over(BaseException):
    """Ends a loop that has no end."""


def beat(monkeypatch: pytest.MonkeyPatch, describe: Any, *, times: int = 2) -> None:
    """So many rounds of the heartbeat."""
    rounds = iter(range(times - 1))

    def sleep(_seconds: float) -> None:
        if next(rounds, None) is None:
            raise Over

    monkeypatch.setattr("webapp.generation.queueing.heartbeat.time.sleep", sleep)
    monkeypatch.setattr(heartbeat, "_served", (0.0, []))
    with pytest.raises(Over):
        heartbeat.beat_forever(name="one", node="worker@nowhere", describe=describe)


def test_figures_that_cannot_be_had_do_not_silence_a_worker(
    offered_model: DiffusionModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def describe() -> dict[str, Any]:
        raise RuntimeError("CUDA error: unspecified launch failure")

    with caplog.at_level(logging.ERROR):
        beat(monkeypatch, describe)
    (worker,) = heartbeat.list_workers()
    assert worker == {"name": "one", "models": [offered_model.slug]}
    assert caplog.text.count("the heartbeat goes out without figures") == 2


def test_a_beat_that_fails_for_a_reason_nobody_expects_is_followed_by_others(
    offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([ZeroDivisionError("in a library")])
    listen = heartbeat.listen_to_queues

    def listen_badly(slugs: list[str], *, node: str) -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        listen(slugs, node=node)

    monkeypatch.setattr(heartbeat, "listen_to_queues", listen_badly)
    beat(monkeypatch, lambda: {"in_flight": 1})
    (worker,) = heartbeat.list_workers()
    assert worker["in_flight"] == 1
