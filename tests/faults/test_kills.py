"""Parts of a real studio are killed while ten images are in flight; nothing is lost or charged
twice.
"""

import signal
from pathlib import Path

import psycopg
import pytest
import redis

from tests.faults.studio import Studio, wait_until

pytestmark = pytest.mark.faults

FILES = 3  # picture, thumbnail and development strip


@pytest.mark.parametrize("service", ["web", "worker", "valkey", "postgres"])
def test_ten_images_survive_the_kill_of(service: str, studio: Studio) -> None:
    ids = studio.order(10)
    studio.wait_until_running(ids)
    pid = studio.kill(service)
    studio.wait_until_back(service, pid)
    ended = studio.wait_until_ended(ids)
    assert {image["state"] for image in ended.values()} <= {"stored", "failed"}
    assert sum(image["state"] == "stored" for image in ended.values()) >= 8
    studio.check_books()


def test_images_survive_an_emptied_broker(studio: Studio) -> None:
    ids = studio.order(8)
    with redis.Redis.from_url(studio.layout.valkey_url()) as client:
        client.flushall()
    assert "queued" in studio.states(ids), "nothing was left to lose"
    assert {image["state"] for image in studio.wait_until_ended(ids).values()} == {"stored"}
    studio.check_books()


def test_a_worker_killed_between_file_and_commit_charges_once_and_leaves_no_orphan(
    studio: Studio,
) -> None:
    """The worker's commit waits for our lock on the hold, and is killed while it waits."""
    ids = studio.order(1, steps="60")
    image = studio.wait_until_running(ids)
    stem = f"{image['id'].hex}-{image['lease_token'].hex[:12]}"
    with psycopg.connect(studio.layout.postgres_url()) as database:
        # Not on the image: a slow machine renews its lease meanwhile, and would wait for that.
        database.execute("SELECT 1 FROM credits_hold WHERE image_id = %s FOR UPDATE", ids)
        wait_until(lambda: len(media_files(studio, stem)) == FILES)
        studio.kill("worker")
    assert studio.states(ids) == ["running"], "the commit came before the kill"
    assert studio.wait_until_ended(ids)[ids[0]]["state"] == "stored"
    wait_until(lambda: not media_files(studio, stem))
    (stored,) = studio.images(ids)
    assert stored["attempt"] == 2
    assert len(media_files(studio, image["id"].hex)) == FILES
    charges = studio.rows("SELECT id FROM credits_entry WHERE image_id = %s", ids[0])
    assert len(charges) == 2, "one transaction is two lines"
    studio.check_books()


def test_a_worker_asked_to_stop_gives_its_images_back_without_an_attempt(studio: Studio) -> None:
    ids = studio.order(2, steps="60")
    studio.wait_until_running(ids)
    pid = studio.kill("worker", signal.SIGTERM)
    studio.wait_until_back("worker", pid)
    assert "running" not in studio.states(ids), "an image is still leased to the stopped worker"
    assert {image["state"] for image in studio.wait_until_ended(ids).values()} == {"stored"}
    assert [image["attempt"] for image in studio.images(ids)] == [1] * 2
    studio.check_books()


def media_files(studio: Studio, stem: str) -> list[Path]:
    """The files of an image, or of one attempt at it."""
    return list(studio.layout.media.rglob(f"{stem}*"))
