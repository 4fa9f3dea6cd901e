"""A studio whose images go from its folder to a bucket while people draw (docs/deploy.md)."""

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.core.bucket_calls import BUCKET, KEYS
from tests.core.buckets import bucket_server
from tests.faults.studio import Studio
from tests.trial import Trial

__all__ = ["bucket_server"]

pytestmark = pytest.mark.faults

MOVE = ("media", "move", "--to", "bucket")


@pytest.fixture
def moving(bucket_server: tuple[str, int]) -> Iterator[Studio]:
    """A studio that keeps its images in a folder, and knows a bucket."""
    host, port = bucket_server
    settings = {
        "DARKROOM_STORAGE": "folder",
        "DARKROOM_S3_BUCKET": BUCKET,
        "DARKROOM_S3_ENDPOINT": f"http://{host}:{port}",
        "DARKROOM_S3_REGION": "us-east-1",
        "DARKROOM_S3_ACCESS_KEY": KEYS["access_key"],
        "DARKROOM_S3_SECRET_KEY": KEYS["secret_key"],
        "DARKROOM_TORCH_THREADS": "1",
    }
    with tempfile.TemporaryDirectory(prefix="darkroom-moving-") as folder:
        trial = Trial(Path(folder), settings)
        with trial.running():
            yield Studio(trial, trial.offer_tiny_model())


@contextmanager
def drawing(studio: Studio, ids: list[str]) -> Iterator[None]:
    """Orders of two images, one after the other, for as long as the block lasts."""
    is_over = threading.Event()

    def order_on() -> None:
        while not is_over.is_set():
            ordered = studio.order(2)
            studio.wait_until_ended(ordered)
            ids.extend(ordered)

    thread = threading.Thread(target=order_on)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def digests(studio: Studio, ids: list[str]) -> dict[str, str]:
    """Of each image as its owner is served it."""
    return {
        one: hashlib.sha256(studio.visitor.get(f"/images/{one}/file/")).hexdigest() for one in ids
    }


def files_in_folder(studio: Studio) -> list[str]:
    """What is left of images in the folder."""
    media = studio.trial.var / "media"
    return [str(one.relative_to(media)) for one in media.rglob("*") if one.is_file()]


def test_images_move_to_a_bucket_while_people_draw_and_none_is_lost(moving: Studio) -> None:
    trial, ids = moving.trial, moving.order(4)
    moving.wait_until_ended(ids)
    with drawing(moving, ids):
        assert "in the bucket already" in trial.manage(*MOVE)
    before = digests(moving, ids)
    trial.stop()
    trial.environment["DARKROOM_STORAGE"] = "bucket"
    trial.start()
    trial.manage(*MOVE)  # what was drawn since the first time
    assert digests(moving, ids) == before
    (late,) = moving.order(1)
    assert moving.wait_until_ended([late])[late]["state"] == "stored"
    assert len(files_in_folder(moving)) >= len(ids)
    trial.manage(*MOVE, "--delete")
    assert files_in_folder(moving) == []
    assert digests(moving, ids) == before
    moving.check_books()
