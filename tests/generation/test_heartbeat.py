"""A worker that lives is heard, whatever its figures do."""

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.people import make_model
from webapp.catalog.models import DiffusionModel
from webapp.celery import app
from webapp.generation.queueing import heartbeat, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]


@pytest.fixture
def model(tmp_path: Path) -> DiffusionModel:
    """A model on offer whose files are on this host."""
    (tmp_path / "model_index.json").write_text("{}")
    return make_model(location=str(tmp_path))


class Over(BaseException):
    """Ends a loop that has no end."""


def beat(monkeypatch: pytest.MonkeyPatch, describe: Any, *, times: int = 2) -> None:
    """So many rounds of the heartbeat."""
    rounds = iter(range(times - 1))

    def sleep(_seconds: float) -> None:
        if next(rounds, None) is None:
            raise Over

    monkeypatch.setattr("webapp.generation.queueing.heartbeat.time.sleep", sleep)
    monkeypatch.setattr(serving, "_served", (0.0, []))
    with pytest.raises(Over):
        heartbeat.beat_forever(name="one", node="worker@nowhere", describe=describe)


def test_figures_that_cannot_be_had_do_not_silence_a_worker(
    model: DiffusionModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def describe() -> dict[str, Any]:
        raise RuntimeError("CUDA error: unspecified launch failure")

    with caplog.at_level(logging.ERROR):
        beat(monkeypatch, describe)
    (worker,) = heartbeat.list_workers()
    assert worker == {"name": "one", "models": [model.slug], "clock_off_s": 0.0}
    assert caplog.text.count("the heartbeat goes out without figures") == 2


def test_a_beat_that_fails_for_a_reason_nobody_expects_is_followed_by_others(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
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


def test_a_worker_listens_to_no_bell_of_a_model_whose_files_went(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, str]] = []
    for verb in ("add_consumer", "cancel_consumer"):
        monkeypatch.setattr(
            app.control,
            verb,
            lambda queue, *, verb=verb, **_options: told.append((verb, queue)),
        )
    monkeypatch.setattr(heartbeat, "_heard", set())
    heartbeat.listen_to_queues(["one", "two"], node="worker@nowhere")
    told.clear()
    heartbeat.listen_to_queues(["two"], node="worker@nowhere")
    heartbeat.listen_to_queues(["two"], node="worker@nowhere")
    bell = ("add_consumer", "images.two")
    assert told == [bell, ("cancel_consumer", "images.one"), bell]
