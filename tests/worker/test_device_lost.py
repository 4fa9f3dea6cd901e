"""A device that vanishes under a real Celery worker: nothing is lost, nothing is charged twice."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.people import submit
from tests.worker.running import running_worker, wait_until, wait_until_ended
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.models import Notice
from webapp.core.valkey import valkey
from webapp.credits.selectors import get_balance
from webapp.generation.models import Image
from webapp.generation.queueing import doorbell
from webapp.operations.audit import find_violations

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow("ten workers start, one after the other", unless_changed="worker"),
]

START_UCR = 200_000_000
PRICE_UCR = 200_000
END_S = 90.0
MODULES = "worker.tasks,tests.worker.faulty_device"
OUT_OF_MEMORY = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path, valkey_is_empty: None) -> Iterator[None]:
    settings.MEDIA_ROOT = tmp_path / "media"
    yield
    valkey().flushdb()


def run_to_its_end(folder: Path, **environment: str) -> int:
    """A worker with the faulty device; its exit status."""
    with running_worker(folder, modules=MODULES, **environment) as worker:
        return ended(worker, folder / "worker.log")


def ended(worker: subprocess.Popen[bytes], log: Path) -> int:
    wait_until(lambda: worker.poll() is not None, END_S, log)
    return int(worker.returncode)


def test_a_device_that_vanishes_in_the_middle_of_eight_images_costs_none_of_them(
    alice: User, bob: User, tiny: DiffusionModel, tmp_path: Path
) -> None:
    submit(alice, tiny, count=4, steps=8)
    submit(bob, tiny, count=4, steps=8)
    assert run_to_its_end(tmp_path, FAULT_STEP="6") == 1
    log = (tmp_path / "worker.log").read_text(errors="replace")
    assert "CUDA error: unspecified launch failure" in log
    assert set(Image.objects.values_list("state", flat=True)) == {"queued"}
    assert max(Image.objects.values_list("attempt", flat=True)) == 1
    notice = Notice.objects.get(code__startswith="device_lost:")
    assert notice.sentence.startswith("The device of worker tests@")
    assert notice.sentence.endswith(
        "stopped working. All its images went back to the queue, and the worker starts again."
    )
    assert notice.detail == "RuntimeError: CUDA error: unspecified launch failure"
    assert notice.times == 1
    assert not list(find_violations())
    doorbell.ring(model_slug=tiny.slug, images=1)  # as beat does all the time
    with running_worker(tmp_path):  # as whoever watches over it does
        images = wait_until_ended(END_S)
    assert {image.state for image in images} == {"stored"}
    for owner in (alice, bob):
        assert get_balance(user=owner).posted_ucr == START_UCR - 4 * PRICE_UCR
    assert not list(find_violations())


def test_of_two_workers_on_one_card_the_other_goes_on(
    alice: User, tiny: DiffusionModel, tmp_path: Path
) -> None:
    """The first to draw loses the device; nothing is drawn by both."""
    folders = [tmp_path / name for name in ("one", "two")]
    fault = {"modules": MODULES, "FAULT_STEP": "3", "FAULT_FILE": str(tmp_path / "lost")}
    fault["DARKROOM_MEDIA"] = str(tmp_path / "media")
    for folder in folders:
        folder.mkdir()
    with (
        running_worker(folders[0], node="gpu-a@%h", **fault) as one,
        running_worker(folders[1], node="gpu-b@%h", **fault) as two,
    ):
        submit(alice, tiny, count=8, steps=8)
        wait_until(lambda: None not in (one.poll(), two.poll()) or _all_stored(), END_S)
        wait_until(lambda: {one.poll(), two.poll()} == {None, 1}, END_S)
    assert get_balance(user=alice).posted_ucr == START_UCR - 8 * PRICE_UCR
    assert Notice.objects.get().code.startswith("device_lost:gpu-")
    assert not list(find_violations())


def test_memory_that_another_program_takes_for_a_while_costs_no_image(
    alice: User, bob: User, tiny: DiffusionModel, tmp_path: Path
) -> None:
    submit(alice, tiny, count=2)
    submit(bob, tiny, count=2)
    taken = {"FAULT_WORDS": OUT_OF_MEMORY, "FAULT_TIMES": "2", "FAULT_STEP": "2"}
    with running_worker(tmp_path, modules=MODULES, **taken) as worker:
        doorbell.ring(model_slug=tiny.slug, images=4)
        wait_until(_all_stored, END_S, tmp_path / "worker.log")
        assert worker.poll() is None
    assert {image.attempt for image in Image.objects.all()} == {1}
    assert get_balance(user=alice).posted_ucr == START_UCR - 2 * PRICE_UCR
    assert not list(find_violations())


def test_memory_that_is_not_given_back_fails_an_image_with_one_sentence_and_without_a_charge(
    alice: User, tiny: DiffusionModel, tmp_path: Path
) -> None:
    submit(alice, tiny)
    with running_worker(tmp_path, modules=MODULES, FAULT_WORDS=OUT_OF_MEMORY):
        doorbell.ring(model_slug=tiny.slug, images=1)
        (image,) = wait_until_ended(END_S)
    assert (image.state, image.failure_code) == ("failed", "out_of_memory")
    assert image.failure == "The image is too large for the memory of this device."
    assert get_balance(user=alice).available_ucr == START_UCR
    assert not list(find_violations())


def _all_stored() -> bool:
    return not Image.objects.exclude(state="stored").exists()


def test_an_image_that_loses_the_device_each_time_fails_alone_after_three_drawings(
    alice: User, bob: User, tiny: DiffusionModel, tmp_path: Path
) -> None:
    submit(alice, tiny, prompt="poison", steps=4)
    submit(bob, tiny, count=3, steps=4)
    runs = 0
    while Image.objects.exclude(state__in=("stored", "failed")).exists():
        runs += 1
        assert runs <= 4, "three with it, and one for those who were drawn beside it"
        doorbell.ring(model_slug=tiny.slug, images=1)  # as beat does all the time
        with running_worker(tmp_path, modules=MODULES, FAULT_PROMPT="poison") as worker:
            wait_until(
                lambda: (
                    worker.poll() is not None
                    or not Image.objects.exclude(state__in=("stored", "failed")).exists()
                ),
                END_S,
                tmp_path / "worker.log",
            )
    hers = Image.objects.get(generation__owner=alice)
    assert (hers.state, hers.failure_code, hers.attempt) == ("failed", "worker_lost", 3)
    assert set(Image.objects.filter(generation__owner=bob).values_list("state", flat=True)) == {
        "stored"
    }
    assert Notice.objects.get(code__startswith="device_lost:").times == 3
    assert get_balance(user=alice).available_ucr == START_UCR
    assert get_balance(user=bob).posted_ucr == START_UCR - 3 * PRICE_UCR
    assert not list(find_violations())


def test_a_worker_whose_threads_hang_after_the_loss_ends_all_the_same(
    alice: User, tiny: DiffusionModel, tmp_path: Path
) -> None:
    submit(alice, tiny, count=2)
    began_s = time.monotonic()
    assert run_to_its_end(tmp_path, FAULT_HANGS="5") == 1
    assert time.monotonic() - began_s < END_S
    log = (tmp_path / "worker.log").read_text(errors="replace")
    assert "in hang" in log, "it says where each thread was"
    assert set(Image.objects.values_list("state", flat=True)) == {"running"}  # until the sweeper
