"""Parts of a real studio are killed while ten images are in flight; nothing is lost or charged
twice.
"""

import signal
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests.faults.processes import standing_still
from tests.faults.studio import Studio, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]  # a worker loads torch three times

LEASE_S = 10  # as conftest.py has it
FILES = 3  # image, thumbnail and development strip


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


def test_a_worker_that_draws_outlives_the_loss_of_valkey(studio: Studio) -> None:
    worker, valkey = studio.trial.pid("worker"), studio.trial.pid("valkey")
    ids = studio.order(4, steps="60")
    studio.wait_until_running(ids)
    studio.kill("valkey")
    studio.wait_until_back("valkey", valkey)
    ended = studio.wait_until_ended(ids)
    more = studio.order(1)
    ended |= studio.wait_until_ended(more)
    assert {facts["state"] for facts in ended.values()} == {"stored"}
    assert studio.trial.pid("worker") == worker
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


def test_three_kills_fail_one_image_and_not_its_neighbour(studio: Studio) -> None:
    """Both were drawn when the worker was killed twice; each is drawn alone after that."""
    ids = studio.order(2, steps="100")
    for _kill in range(3):
        wait_until(lambda: bool(drawn(studio, ids)))
        if _kill < 2:
            wait_until(lambda: len(drawn(studio, ids)) == 2)
        pid = studio.kill("worker")
        studio.wait_until_back("worker", pid)
        wait_until(lambda: not drawn(studio, ids))
    studio.wait_until_ended(ids)
    failed, stored = sorted(studio.images(ids), key=lambda image: str(image["state"]))
    assert (failed["state"], failed["failure_code"]) == ("failed", "worker_lost")
    assert (stored["state"], stored["attempt"]) == ("stored", 3)
    studio.check_books()


def test_images_outlive_a_database_that_hangs_for_longer_than_their_lease(studio: Studio) -> None:
    ids = studio.order(6, steps="60")
    studio.wait_until_running(ids)
    with standing_still(studio.trial.pid("postgres")):
        time.sleep(LEASE_S + 5)
    assert {image["state"] for image in studio.wait_until_ended(ids).values()} == {"stored"}
    images = studio.images(ids)
    assert [image["attempt"] for image in images] == [1] * 6, "no lease was taken back for it"
    named = {image[column] for image in images for column in ("file", "thumbnail", "strip")}
    kept = [path for image in images for path in media_files(studio, image["id"].hex)]
    assert {str(path.relative_to(studio.layout.media)) for path in kept} == named - {""}
    studio.check_books()


def drawn(studio: Studio, ids: list[str]) -> list[dict[str, Any]]:
    """Those of the images that are being drawn."""
    running = [image for image in studio.images(ids) if image["state"] == "running"]
    return [image for image in running if image["drawing_since"]]
