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
from webapp.generation import doorbell
from webapp.generation.models import Image
from webapp.operations.audit import find_violations

pytestmark = pytest.mark.django_db(transaction=True)

START_UCR = 200_000_000
PRICE_UCR = 200_000
END_S = 90.0


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path, valkey_is_empty: None) -> Iterator[None]:
    settings.MEDIA_ROOT = tmp_path / "media"
    yield
    valkey().flushdb()


def run_to_its_end(folder: Path, **environment: str) -> int:
    """A worker with the faulty device; its exit status."""
    with running_worker(
        folder, modules="worker.tasks,tests.worker.faulty_device", **environment
    ) as worker:
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
        with running_worker(
            tmp_path, modules="worker.tasks,tests.worker.faulty_device", FAULT_PROMPT="poison"
        ) as worker:
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
