"""The desk in this process, with the real engine and pipeline, where the world goes wrong."""

import errno
import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone
from PIL import Image as Picture

from tests.people import make_model, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.models import Notice
from webapp.credits.selectors import get_balance
from webapp.generation import claims, heartbeat, services
from webapp.generation.models import Image
from webapp.operations.audit import find_violations
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.pipelines.runner import DiffusersRunner
from worker.tasks import Desk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]

START_UCR = 200_000_000
PRICE_UCR = 200_000


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    config = EngineConfig(device="cpu", threads=1, preview_every=0)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    yield engine
    engine.close()


@pytest.fixture
def desk(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(heartbeat, "_served", (0.0, []))  # another test's models
    return Desk(engine, name="this-process", slots=1)


def files_kept() -> list[Path]:
    """Every file in the media folder."""
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def test_a_full_disk_fails_the_image_gives_the_credits_back_and_tells_the_admins(
    alice: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    submit(alice, tiny)
    monkeypatch.setattr(os, "fsync", full)
    desk.answer()
    image = Image.objects.get()
    assert image.state == "failed"
    assert image.failure == "The picture could not be saved: the studio's storage is full or away."
    assert get_balance(user=alice).available_ucr == START_UCR
    assert "No space left" in Notice.objects.get(code="storagefailed:tiny").detail
    assert files_kept() == []
    assert not list(find_violations())


def test_a_database_that_is_away_for_a_moment_costs_no_picture(
    alice: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages = [OperationalError("the database system is starting up")] * 2
    store = services.store_image

    def store_when_back(**arguments: Any) -> bool:
        if outages:
            raise outages.pop()
        return store(**arguments)

    submit(alice, tiny)
    monkeypatch.setattr(services, "store_image", store_when_back)
    desk.answer()
    assert Image.objects.get().state == "stored"
    assert not outages
    assert not list(find_violations())


def test_a_worker_whose_lease_was_lost_stores_nothing_and_removes_its_files(
    alice: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease ends while the files are written: the sweeper gives the image to another."""
    store = services.store_image
    written: list[list[Path]] = []

    def store_late(**arguments: Any) -> bool:
        monkeypatch.setattr(services, "store_image", store)
        written.append(files_kept())
        Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        services.return_ended_leases()
        assert claims.claim_next(models=[tiny.slug], worker="another")
        return store(**arguments)

    submit(alice, tiny)
    monkeypatch.setattr(services, "store_image", store_late)
    desk.answer()
    image = Image.objects.get()
    assert (image.state, image.worker, image.attempt) == ("running", "another", 2)
    assert len(written[0]) == 2
    assert files_kept() == []
    assert get_balance(user=alice).posted_ucr == START_UCR
    assert not list(find_violations())


def test_a_draining_desk_claims_nothing_more(alice: User, tiny: DiffusionModel, desk: Desk) -> None:
    submit(alice, tiny)
    desk.draining.set()
    desk.answer()
    assert Image.objects.get().state == "queued"


def test_one_image_that_fails_does_not_keep_the_next_one_from_being_drawn(
    alice: User, tiny: DiffusionModel, desk: Desk, tmp_path: Path
) -> None:
    missing = make_model("missing", location=str(tmp_path / str(uuid.uuid4())))
    submit(alice, missing)
    submit(alice, tiny)
    desk.answer()
    states = Image.objects.order_by("created_at").values_list("model__slug", "state")
    assert list(states) == [("missing", "failed"), ("tiny", "stored")]
    assert Notice.objects.get().code == "model_unavailable:missing"
    assert get_balance(user=alice).available_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


def test_one_persons_pile_leaves_a_place_for_somebody_new(
    alice: User, bob: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four places: one is kept for people who have nothing here, whoever was served less."""
    monkeypatch.setattr(desk, "slots", 4)
    monkeypatch.setattr(desk, "room", lambda: 4)
    monkeypatch.setattr(desk, "draw", lambda claim: None)  # drawings that take for ever
    submit(alice, tiny, count=6)
    while desk.has_room() and desk.start_next():
        pass
    assert list(desk.drawing.values()) == [alice.pk] * 3
    submit(bob, tiny, count=2)
    while desk.has_room() and desk.start_next():
        pass
    assert list(desk.drawing.values()) == [alice.pk] * 3 + [bob.pk]


def test_images_of_two_people_share_denoiser_calls_and_say_so(
    alice: User, bob: User, tiny: DiffusionModel, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_served", (0.0, []))
    submit(alice, tiny, count=2, steps=40)
    submit(bob, tiny, count=2, steps=40)
    Desk(engine, name="this-process", slots=8).answer()
    images = Image.objects.all()
    assert {image.state for image in images} == {"stored"}
    assert max(image.batch["rows_most"] for image in images) >= 4
    assert all(1 <= image.batch["rows_mean"] <= image.batch["rows_most"] for image in images)
    assert not list(find_violations())


def test_the_same_request_in_exact_mode_gives_the_same_bits_whoever_else_draws(
    alice: User, bob: User, tiny: DiffusionModel, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_served", (0.0, []))
    busy = Desk(engine, name="this-process", slots=4)
    once = submit(alice, tiny, exact=True)
    busy.answer()
    for _ in range(3):
        submit(bob, tiny, count=2)
    again = submit(alice, tiny, exact=True)
    busy.answer()
    drawn = [Image.objects.get(generation=one) for one in (once, again)]
    assert [one.fingerprint["exact"] for one in drawn] == ["yes", "yes"]
    pixels = [Picture.open(Path(settings.MEDIA_ROOT) / one.file).tobytes() for one in drawn]
    assert pixels[0] == pixels[1]
