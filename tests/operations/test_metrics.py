"""`/metrics`: who may read it, and that what it says is so, by Prometheus' own parser."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.pages import serve_plain_static
from tests.people import claim, submit
from webapp import env
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.counting import CountedRequests
from webapp.credits.ledger import top_up
from webapp.generation.models import Image
from webapp.generation.queueing import services
from webapp.generation.queueing.heartbeat import beat_once
from webapp.operations import audit
from webapp.operations.metrics import collector
from webapp.operations.readiness import studio

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def _on(settings: LazySettings, valkey_is_empty: None) -> Iterator[None]:
    settings.METRICS_TOKEN = TOKEN
    serve_plain_static(settings)
    yield
    forget()


def forget() -> None:
    studio.forget()
    collector.forget()


def scrape(client: Client) -> dict[str, Metric]:
    """The families by name."""
    forget()
    response = client.get("/metrics", headers=BEARER)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    return {one.name: one for one in text_string_to_metric_families(response.content.decode())}


def value(families: dict[str, Metric], sample: str, **labels: str) -> float:
    """The one sample of this name with exactly these labels."""
    (found,) = [
        one.value
        for family in families.values()
        for one in family.samples
        if one.name == sample and one.labels == labels
    ]
    return float(found)


def networks(monkeypatch: pytest.MonkeyPatch, words: str) -> Any:
    monkeypatch.setenv("DARKROOM_METRICS_ADDRESSES", words)
    return env.networks("DARKROOM_METRICS_ADDRESSES")


def test_there_is_none_until_somebody_says_who_may(client: Client, settings: LazySettings) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize(
    "given",
    ["", TOKEN, "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é"],
)
def test_another_token_is_refused(client: Client, given: str) -> None:
    assert client.get("/metrics", headers={"Authorization": given}).status_code == 403


def test_a_signed_in_administrator_without_the_token_is_refused(
    client: Client, charlie: User
) -> None:
    client.force_login(charlie)
    assert client.get("/metrics").status_code == 403


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("10.1.2.3", 200),
        ("::ffff:10.1.2.3", 200),
        ("10.2.0.1", 403),
        ("fd00::5", 200),
        ("fd00::6", 403),
        ("", 403),
    ],
)
def test_an_address_of_the_list_may_read(
    client: Client,
    db: None,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    status: int,
) -> None:
    settings.METRICS_TOKEN = ""
    settings.METRICS_ADDRESSES = networks(monkeypatch, "10.1.0.0/16, fd00::5")
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == status


def test_an_address_that_is_forwarded_counts_only_behind_a_trusted_proxy(
    client: Client, db: None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.METRICS_TOKEN = ""
    settings.METRICS_ADDRESSES = networks(monkeypatch, "10.1.2.3")
    forwarded = {"X-Forwarded-For": "10.1.2.3"}
    assert client.get("/metrics", headers=forwarded).status_code == 403
    settings.TRUSTED_PROXIES = 1
    assert client.get("/metrics", headers=forwarded).status_code == 200


@pytest.mark.parametrize("words", ["10.0.0.300", "10.0.0.1/8", "localhost", "10.0.0.1;10.0.0.2"])
def test_a_list_of_something_else_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match="say IP addresses or networks"):
        networks(monkeypatch, words)


def test_nothing_is_counted_while_nobody_may_read(settings: LazySettings) -> None:
    settings.METRICS_TOKEN = ""
    with pytest.raises(MiddlewareNotUsed):
        CountedRequests(lambda _request: HttpResponse())


def test_requests_are_counted_by_door_and_status_and_timed(client: Client, db: None) -> None:
    def count(door: str, status: str) -> float:
        name, labels = "darkroom_requests_total", {"method": "GET", "status": status}
        try:
            return value(scrape(client), name, door=door, **labels)
        except ValueError:
            return 0.0

    before = count("prices", "302"), count("none", "404")
    client.get("/prices/")
    client.get("/no/such/address/")
    client.get("/no/other/address/")
    assert (count("prices", "302"), count("none", "404")) == (before[0] + 1, before[1] + 2)
    families = scrape(client)
    assert value(families, "darkroom_request_seconds_bucket", door="prices", le="+Inf") == value(
        families, "darkroom_request_seconds_count", door="prices"
    )


def test_the_queue_and_what_became_of_images(
    client: Client, alice: User, offered_model: DiffusionModel
) -> None:
    generation = submit(alice, offered_model, count=4)
    Image.objects.update(created_at=timezone.now() - timedelta(seconds=100))
    services.fail_image(
        image_id=(taken := claim(offered_model)).image_id,
        lease_token=taken.lease_token,
        code="engine_error",
        sentence="It broke.",
    )
    claim(offered_model)
    families = scrape(client)
    assert value(families, "darkroom_images", state="queued") == 2
    assert value(families, "darkroom_images", state="running") == 1
    assert value(families, "darkroom_queue_images", model=offered_model.slug) == 2
    assert 100 <= value(families, "darkroom_queue_oldest_seconds") < 160
    assert value(families, "darkroom_images_recently", state="failed") == 1
    assert value(families, "darkroom_images_recently", state="stored") == 0
    assert value(families, "darkroom_credits_held") == pytest.approx(3 * 0.2)
    assert generation.images.count() == 4


def test_credits_are_counted_from_the_studios_midnight(
    client: Client, alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    before = value(scrape(client), "darkroom_credits_granted_total")
    assert value(scrape(client), "darkroom_credits_spent_total") == 0
    top_up(user=alice, amount_ucr=5_000_000, actor=charlie, reason="a test", key="k")
    assert value(scrape(client), "darkroom_credits_granted_total") == before + 5


def test_the_last_check_of_the_ledger_is_told_once_there_is_one(
    client: Client, alice: User
) -> None:
    assert "darkroom_ledger_violations" not in scrape(client)
    audit.keep_check([audit.Violation("a", "It is off.")] * 3, took_s=1.0)
    families = scrape(client)
    assert value(families, "darkroom_ledger_violations") == 3
    age_s = timezone.now().timestamp() - value(families, "darkroom_ledger_check_timestamp_seconds")
    assert 0 <= age_s < 60
    assert value(families, "darkroom_notices") == 1


def test_workers_say_what_they_did(client: Client, db: None) -> None:
    facts = {
        "device": "NVIDIA X",
        "in_flight": 0,
        "rows": 6,
        "row_cap": 8,
        "calls": 10,
        "rows_in_all": 44,
        "memory_used": 3,
        "memory_total": 24,
        "done": {"images": {"stored": 5, "failed": 1}, "stages_s": {"denoise": 2.5}},
    }
    beat_once(name="gpu-1", models=[], facts=facts)
    beat_once(name="cpu-1", models=[], facts={"in_flight": 1, "memory_total": 0})
    families = scrape(client)
    one = {"worker": "gpu-1"}
    assert value(families, "darkroom_workers") == 2
    assert value(families, "darkroom_worker_info", device="NVIDIA X", **one) == 1
    assert value(families, "darkroom_worker_denoiser_calls_total", **one) == 10
    assert value(families, "darkroom_worker_denoiser_rows_total", **one) == 44
    assert value(families, "darkroom_worker_stage_seconds_total", stage="denoise", **one) == 2.5
    assert value(families, "darkroom_worker_images_total", end="stored", **one) == 5
    memory = families["darkroom_worker_memory_bytes"].samples
    assert [(sample.labels["worker"], sample.value) for sample in memory] == [("gpu-1", 24)]


def test_what_is_away_is_left_out_and_said_so(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        families = scrape(client)
    assert value(families, "darkroom_ready", part="database") == 0
    assert value(families, "darkroom_ready", part="broker") == 1
    assert "darkroom_images" not in families
    assert value(families, "darkroom_disk_free_bytes", folder="var") > 0


def test_a_scrape_costs_a_fixed_number_of_queries_and_none_again_soon(
    client: Client, alice: User, offered_model: DiffusionModel
) -> None:
    scrape(client)
    submit(alice, offered_model, count=3)
    with CaptureQueriesContext(connection) as first:
        scrape(client)
    with CaptureQueriesContext(connection) as again:
        client.get("/metrics", headers=BEARER)
    assert len(first) <= 14
    assert len(again) == 0


def test_a_folder_that_is_not_there_yet_is_left_out(client: Client, db: None) -> None:
    """A fresh studio has no media: nothing was drawn."""
    folders = {one.labels["folder"] for one in scrape(client)["darkroom_disk_bytes"].samples}
    assert folders == {"var"}


def test_no_sample_says_when_a_count_began(client: Client, db: None) -> None:
    client.get("/prices/")
    names = {one.name for family in scrape(client).values() for one in family.samples}
    assert [name for name in names if name.endswith("_created")] == []
