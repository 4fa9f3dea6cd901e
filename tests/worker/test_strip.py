"""The development strip: which previews are kept, the file they make, and who may go without."""

import io
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from PIL import Image as Picture

from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import DiscardedFile, Image
from webapp.generation.orphans import delete_discarded_files
from webapp.generation.queueing import services, serving
from webapp.generation.storage import read_file
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.request import Progress, RenderedImage, Timings
from worker.finishing.strip import LARGEST_BYTES, Strip, choose_evenly
from worker.pipelines.runner import DiffusersRunner
from worker.tasks import Desk

drawn = pytest.mark.django_db(transaction=True)
SIZE = (128, 96)


def noise(step: int) -> bytes:
    """A preview that compresses badly; its first red byte is the step."""
    picture = Picture.frombytes("RGB", SIZE, os.urandom(3 * SIZE[0] * SIZE[1]))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=70)
    return file.getvalue()


def heard(step: int, steps: int, preview: bytes | None = b"") -> Progress:
    shown = noise(step) if preview == b"" else preview
    return Progress("one", "denoising", step, steps, shown, None if shown is None else step)


def rendered(times: tuple[float, ...] = ()) -> RenderedImage:
    red = b"\xff\0\0" * (64 * 48)
    return RenderedImage("one", red, 64, 48, Timings(), {}, times=times)


def test_a_strip_goes_from_the_noise_to_the_finished_picture() -> None:
    strip = Strip()
    for step in range(0, 20, 3):
        strip.keep(heard(step, 20))
        strip.keep(heard(step + 1, 20, preview=None))
    times = tuple(999.0 - 50 * step for step in range(20))
    made = strip.finish(rendered(times))
    assert made is not None
    assert made.steps[:2] == ((0, 999.0), (3, 849.0))
    assert made.steps[-2:] == ((18, 99.0), (20, 0.0))
    sheet = Picture.open(io.BytesIO(made.webp))
    assert (sheet.format, sheet.size) == ("WEBP", (8 * SIZE[0], SIZE[1]))
    red, green, blue = sheet.convert("RGB").getpixel((8 * SIZE[0] - 9, 50))  # type: ignore[misc]
    assert red > 200 > 60 > max(green, blue)


def test_a_long_run_keeps_twelve_previews_evenly_and_its_file_stays_small() -> None:
    strip = Strip()
    for step in range(150):
        strip.keep(heard(step, 150))
        assert len(strip._kept) <= 24
    made = strip.finish(rendered())
    assert made is not None
    steps = [step for step, _time in made.steps]
    assert len(steps) == 13
    assert (steps[0], steps[-1]) == (0, 150)
    gaps = [after - before for before, after in itertools.pairwise(steps[:-1])]
    assert max(gaps) <= 2 * min(gaps)
    assert len(made.webp) <= LARGEST_BYTES
    assert {time for _step, time in made.steps} == {None}


def test_few_previews_are_all_kept() -> None:
    few = [(step, b"") for step in (0, 3, 6)]
    assert choose_evenly(few) == few


def test_no_previews_make_no_strip() -> None:
    assert Strip().finish(rendered()) is None


def test_a_damaged_preview_costs_the_strip_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    strip = Strip()
    strip.keep(heard(0, 4, preview=b"not a picture"))
    with caplog.at_level(logging.ERROR):
        assert strip.finish(rendered()) is None
    assert "image one gets no strip" in caplog.text


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    config = EngineConfig(device="cpu", threads=1)  # previews as a studio has them
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    yield engine
    engine.close()


@pytest.fixture
def desk(engine: Engine, valkey_is_empty: None, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(serving, "_served", (0.0, []))
    return Desk(engine, name="this-process", slots=1)


def files_kept() -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


@drawn
def test_a_run_of_twenty_steps_is_kept_though_nobody_watches(
    alice: User, tiny: DiffusionModel, desk: Desk
) -> None:
    submit(alice, tiny, steps=20, width_px=128, height_px=64)
    desk.answer()
    image = Image.objects.get()
    assert image.strip.endswith("-strip.webp")
    steps = [step for step, _time in image.strip_steps]
    times = [time for _step, time in image.strip_steps]
    assert len(steps) >= 4
    assert (steps[0], steps[-1], times[-1]) == (0, 20, 0)
    assert times == sorted(times, reverse=True)
    sheet = Picture.open(io.BytesIO(read_file(image.strip)))
    assert sheet.size == (128 * len(steps), 64)


@drawn
def test_a_strip_that_cannot_be_written_costs_no_picture(
    alice: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, calls = os.fsync, 0

    def full_later(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:  # image and thumbnail, each with its folder
            raise OSError("the disk is full")
        sync(descriptor)

    submit(alice, tiny, steps=8)
    monkeypatch.setattr(os, "fsync", full_later)
    desk.answer()
    image = Image.objects.get()
    assert (image.state, image.strip, image.strip_steps) == ("stored", "", [])
    assert len(files_kept()) == 2


@drawn
def test_the_strip_of_a_lost_lease_goes_with_the_other_files(
    alice: User, tiny: DiffusionModel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = services.store_image
    written: list[list[Path]] = []

    def store_late(**arguments: Any) -> bool:
        written.append(files_kept())
        services.cancel_image(owner=alice, image_id=arguments["image_id"])
        return store(**arguments)

    submit(alice, tiny, steps=8)
    monkeypatch.setattr(services, "store_image", store_late)
    desk.answer()
    assert Image.objects.get().state == "cancelled"
    assert len(written[0]) == 3
    assert files_kept() == []
    assert DiscardedFile.objects.filter(name__endswith="-strip.webp").exists()


@drawn
def test_a_deleted_picture_takes_its_strip_along(
    alice: User, tiny: DiffusionModel, desk: Desk
) -> None:
    submit(alice, tiny, steps=8)
    desk.answer()
    services.delete_image(owner=alice, image_id=Image.objects.get().pk)
    assert len(files_kept()) == 3
    delete_discarded_files()
    assert files_kept() == []
