"""A worker that has drawn, as `/metrics` tells it; the dashboard and the alerts in `deploy/` name
nothing that is not there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import LazySettings
from django.test import Client
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.pages import serve_plain_static
from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Image
from webapp.generation.queueing.heartbeat import beat_once
from webapp.operations import audit
from webapp.operations.metrics import collector
from webapp.operations.readiness import studio
from worker.tasks import Desk, facts_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAME = re.compile(r"\b(?:darkroom|process)_\w+")
BY = re.compile(r"\bby \(([^)]*)\)")
ADDED = {"instance", "job"}  # by Prometheus itself


@pytest.fixture
def families(
    alice: User, tiny: DiffusionModel, desk: Desk, client: Client, settings: LazySettings
) -> Iterator[dict[str, Metric]]:
    """What is told after a worker has drawn two images and the ledger was checked."""
    submit(alice, tiny, steps=2, count=2)
    desk.answer()
    audit.keep_check([], took_s=1.0)
    submit(alice, tiny, count=1)
    beat_once(name="worker-1", models=[tiny.slug], facts=facts_of(desk))
    settings.METRICS_TOKEN = "token"
    serve_plain_static(settings)
    for watched in (studio, collector):
        watched.forget()
    client.get("/healthz/")
    told = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    yield {one.name: one for one in text_string_to_metric_families(told)}
    for watched in (studio, collector):
        watched.forget()


def expressions() -> list[str]:
    """Every expression of the dashboard and of the alerts."""
    board = json.loads((DEPLOY / "grafana" / "darkroom.json").read_text("utf-8"))
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
    shown = [one["expr"] for panel in board["panels"] for one in panel["targets"]]
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert (len(shown) > 15, len(alerts) > 8) == (True, True)
    return shown + alerts


def names_of(family: Metric) -> set[str]:
    """Its samples', or its own if it has none here (the memory of a device)."""
    return {sample.name for sample in family.samples} or {family.name}


def test_the_dashboard_and_the_alerts_name_only_what_is_told(
    families: dict[str, Metric],
) -> None:
    told = set[str]().union(*map(names_of, families.values()))
    for expression in expressions():
        assert set(NAME.findall(expression)) - told == set(), expression


def test_they_group_only_by_labels_that_are_told(families: dict[str, Metric]) -> None:
    samples = [one for family in families.values() for one in family.samples]
    labels = set[str]().union(*(set(one.labels) for one in samples)) | ADDED
    for expression in expressions():
        for names in BY.findall(expression):
            assert set(re.split(r", *", names)) - labels == set(), expression


def test_a_worker_tells_its_calls_their_rows_and_the_seconds_of_its_images(
    families: dict[str, Metric],
) -> None:
    def told(family: str, **labels: str) -> Any:
        samples = families[family].samples
        (value,) = [one.value for one in samples if labels.items() <= one.labels.items()]
        return value

    images = list(Image.objects.filter(state=Image.State.STORED))
    assert len(images) == 2
    assert told("darkroom_worker_images", end="stored") >= 2
    # Two steps with guidance are two calls of two rows, for each of the images.
    assert told("darkroom_worker_denoiser_rows") == 2 * told("darkroom_worker_denoiser_calls") >= 8
    spent_s = sum(image.timings_s["denoise_s"] for image in images)
    assert told("darkroom_worker_stage_seconds", stage="denoise") == pytest.approx(
        spent_s, abs=0.01
    )
    assert told("darkroom_images", state="queued") == 1
