"""The desk in this process, with the real engine and pipeline, when something around it fails."""

import errno
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.utils import timezone
from PIL import Image as Picture

from tests.people import make_model, picture_bytes, submit
from tests.worker.running import wait_until
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.services import add_local_model, enable_model
from webapp.core.models import Notice
from webapp.credits.selectors import get_balance
from webapp.generation.models import Image
from webapp.generation.queueing import claims, services, serving, sweeping
from webapp.generation.request.uploads import create_upload
from webapp.operations.audit import find_violations
from worker.drawing import Drawing
from worker.engine.engine import Engine
from worker.engine.request import Progress
from worker.tasks import Desk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]

START_UCR = 200_000_000
PRICE_UCR = 200_000


class Disk:
    """The disk under the media folder, as far as writing to it goes."""

    def __init__(self) -> None:
        self.is_full = False
        self.fsync = os.fsync

    def fill(self) -> None:
        self.is_full = True

    def free(self) -> None:
        self.is_full = False

    def write(self, descriptor: int) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.fsync(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Not full yet."""
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.write)
    yield disk
    disk.free()


def owners(desk: Desk) -> list[int]:
    """Whose images the desk holds."""
    return [drawing.claim.owner_id for drawing in desk.drawing.values()]


def files_kept() -> list[Path]:
    """Every file in the media folder."""
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def test_a_full_disk_makes_the_worker_wait_tell_administrators_and_go_on_by_itself(
    alice: User, tiny: DiffusionModel, desk: Desk, disk: Disk
) -> None:
    """For longer than a lease, so that it lives only if it is renewed meanwhile."""
    submit(alice, tiny, count=2)
    disk.fill()
    answering = threading.Thread(target=desk.answer)
    answering.start()
    wait_until(lambda: Notice.objects.filter(code__startswith="storage:").exists(), 30)
    assert "No space left" in Notice.objects.get().detail
    wait_until(lambda: desk.storage.is_away, 5)
    time.sleep(settings.LEASE_S + 1)
    sweeping.return_ended_leases()
    states = Image.objects.order_by("index").values_list("state", flat=True)
    assert list(states) == ["running", "queued"], "it claims nothing while nothing can be kept"
    disk.free()
    answering.join(60)
    assert {(one.state, one.attempt) for one in Image.objects.all()} == {("stored", 1)}
    assert get_balance(user=alice).available_ucr == START_UCR - 2 * PRICE_UCR
    wait_until(lambda: not Notice.objects.exists(), 5)
    assert not [path for path in files_kept() if "probe" in str(path)]
    assert not list(find_violations())


def test_what_cannot_be_kept_is_given_back_when_the_worker_stops(
    alice: User, tiny: DiffusionModel, engine: Engine, desk: Desk, disk: Disk
) -> None:
    submit(alice, tiny)
    disk.fill()
    answering = threading.Thread(target=desk.answer)
    answering.start()
    wait_until(lambda: desk.storage.is_away, 30)
    desk.draining.set()
    answering.join(30)
    desk.patience.end()
    image = Image.objects.get()
    assert (image.state, image.attempt) == ("queued", 0)
    assert not list(find_violations())


def test_a_start_picture_that_cannot_be_read_just_now_is_waited_for(
    alice: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that gives an error; "gone" is another matter."""
    upload = create_upload(
        owner=alice, file=ContentFile(picture_bytes()), size_bytes=1, kind="start"
    )
    submit(alice, tiny, mode="image", start_id=upload.pk, strength=0.5)
    refusals = [OSError(errno.EIO, os.strerror(errno.EIO))]
    read = default_storage.open

    def refuse_once(name: str, mode: str = "rb") -> Any:
        if refusals:
            raise refusals.pop()
        return read(name, mode)

    monkeypatch.setattr(default_storage, "open", refuse_once)
    desk.answer()
    assert Image.objects.get().state == "stored"
    assert not refusals


def test_a_start_picture_that_the_storage_never_gives_fails_as_the_storages_fault(
    alice: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = create_upload(
        owner=alice, file=ContentFile(picture_bytes()), size_bytes=1, kind="start"
    )
    asked: dict[str, Any] = {"mode": "image", "start_id": upload.pk, "strength": 0.5}
    submit(alice, tiny, **asked)

    def refuse(_name: str, _mode: str = "rb") -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("worker.drawing.STALLED_S", 0.0)
    with monkeypatch.context() as broken:
        broken.setattr(default_storage, "open", refuse)
        desk.answer()
    image = Image.objects.get()
    assert (image.state, image.failure_code) == ("failed", "storage_failed")
    assert image.failure == "The studio's storage did not answer. Ask for the image again later."
    notice = Notice.objects.get()
    assert "storage" in notice.sentence
    assert "Input/output error" in notice.detail
    tiny.refresh_from_db()
    assert tiny.problem == "", "nothing is wrong with the model"
    assert get_balance(user=alice).available_ucr == START_UCR
    submit(alice, tiny, key="again", **asked)
    desk.answer()
    assert not Notice.objects.exists(), "the storage gives start images again"
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
        sweeping.return_ended_leases()
        assert claims.claim_next(models=[tiny.slug], worker="another")
        return store(**arguments)

    submit(alice, tiny)
    monkeypatch.setattr(services, "store_image", store_late)
    desk.answer()
    image = Image.objects.get()
    assert (image.state, image.worker, image.attempt) == ("running", "another", 1)
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
    broken = make_model("broken", location=str(tmp_path))
    (tmp_path / "model_index.json").write_text("{}")
    submit(alice, broken)
    submit(alice, tiny)
    desk.answer()
    states = Image.objects.order_by("created_at").values_list("model__slug", "state")
    assert list(states) == [("broken", "failed"), ("tiny", "stored")]
    assert Notice.objects.get().code == "model:model_unavailable:broken"
    assert get_balance(user=alice).available_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


def test_an_image_of_a_model_whose_files_are_on_another_host_is_left_to_its_worker(
    alice: User, tiny: DiffusionModel, desk: Desk, settings: LazySettings, tmp_path: Path
) -> None:
    settings.MODELS_ROOT = tmp_path
    there = make_model("there", location="there")
    submit(alice, there)
    submit(alice, tiny)
    desk.answer()
    states = Image.objects.order_by("created_at").values_list("model__slug", "state")
    assert list(states) == [("there", "queued"), ("tiny", "stored")]
    assert not Notice.objects.exists()


def test_a_host_draws_with_a_model_that_another_host_added_below_another_folder(
    alice: User,
    transactional_db: None,
    tiny_model_dir: Path,
    desk: Desk,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(tiny_model_dir, first / "small" / "tiny")
    shutil.copytree(tiny_model_dir, second / "small" / "tiny")
    settings.MODELS_ROOT = first
    added = add_local_model(
        path=first / "small" / "tiny",
        found={"form": "folder", "family": "sd", "title": "tiny"},
        side_px=128,
    )
    enable_model(slug=added.slug)
    settings.MODELS_ROOT = second
    shutil.rmtree(first)
    submit(alice, added)
    desk.answer()
    assert Image.objects.get().state == "stored"


def test_one_persons_pile_leaves_a_place_for_somebody_new(
    alice: User, bob: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four places: one is kept for people who have nothing here, whoever was served less."""
    monkeypatch.setattr(desk, "slots", 4)
    monkeypatch.setattr(desk, "room", lambda: 4)
    monkeypatch.setattr(desk, "draw", lambda drawing: None)  # drawings that take for ever
    submit(alice, tiny, count=6)
    while desk.has_room() and desk.start_next():
        pass
    assert owners(desk) == [alice.pk] * 3
    submit(bob, tiny, count=2)
    while desk.has_room() and desk.start_next():
        pass
    assert owners(desk) == [alice.pk] * 3 + [bob.pk]


def test_images_of_two_people_share_denoiser_calls_and_say_so(
    alice: User, bob: User, tiny: DiffusionModel, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_served", (0.0, []))
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
    monkeypatch.setattr(serving, "_served", (0.0, []))
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


def test_an_image_that_comes_back_to_the_worker_that_draws_it_still_is_drawn_anew_not_failed(
    alice: User, tiny: DiffusionModel, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease ended while the worker could not renew: nobody else was there to claim it."""
    monkeypatch.setattr(serving, "_served", (0.0, []))
    desk = Desk(engine, name="this-process", slots=4)
    tell = Drawing.tell
    lost: list[uuid.UUID] = []

    def lose_lease_once(drawing: Drawing, progress: Progress) -> None:
        if not lost and progress.stage == "denoising":
            lost.append(drawing.claim.lease_token)
            Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            sweeping.return_ended_leases()
            desk.ring()
            wait_until(lambda: len(desk.drawing) == 2, 10)
        tell(drawing, progress)

    monkeypatch.setattr(Drawing, "tell", lose_lease_once)
    submit(alice, tiny, steps=40)
    desk.answer()
    image = Image.objects.get()
    assert lost
    assert (image.state, image.attempt) == ("stored", 2)
    assert str(lost[0].hex[:12]) not in image.file
    assert get_balance(user=alice).posted_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


def test_a_suspect_is_drawn_with_nothing_else_begun_beside_it(
    alice: User, bob: User, tiny: DiffusionModel, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_served", (0.0, []))
    submit(alice, tiny, steps=30)
    submit(bob, tiny, steps=30, count=3)
    Image.objects.filter(owner=alice).update(attempt=2)
    beside: list[int] = []
    begin = claims.begin_drawings

    def count_begun(*, leases: claims.Leases) -> None:
        begin(leases=leases)
        others = Image.objects.filter(state="running", drawing_since__isnull=False)
        beside.extend(
            others.exclude(pk=image_id).count() for image_id in leases if image_id == hers.pk
        )

    hers = Image.objects.get(owner=alice)
    monkeypatch.setattr(claims, "begin_drawings", count_begun)
    Desk(engine, name="this-process", slots=4).answer()
    assert beside == [0]
    assert set(Image.objects.values_list("state", "attempt")) == {("stored", 3), ("stored", 1)}
    hers.refresh_from_db()
    assert hers.batch["rows_most"] == 2, "it shared no call"
