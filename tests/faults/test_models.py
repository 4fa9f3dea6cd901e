"""A model that is broken: the image fails with a sentence, nobody pays, admins hear. One that is
gone: the image waits for a worker that has it, and says so."""

import json
import shutil
from typing import Any

import pytest
import redis

from tests.faults.studio import Studio, wait_until
from webapp.generation.queueing.heartbeat import PREFIX

pytestmark = pytest.mark.faults


def test_images_of_a_broken_model_fail_with_a_sentence_and_of_a_missing_one_wait(
    studio: Studio,
) -> None:
    model = studio.trial.folder / "damaged"
    shutil.copytree(studio.model, model)
    studio.trial.manage("models", "add", str(model), "--enable")
    weights = next((model / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    broken = order_that_fails(studio)
    (notice,) = studio.rows("SELECT * FROM core_notice WHERE code LIKE '%%:damaged'")
    assert broken["failure"] in notice["sentence"]
    assert notice["detail"]
    shutil.rmtree(model)
    wait_until(lambda: not is_served(studio))
    before = studio.visitor.balance()
    ids = studio.order(1, model="damaged")
    told = studio.visitor.state(ids)
    assert told["queue"]["places"][ids[0]]["sentence"] == "place_none"
    assert studio.states(ids) == ["queued"]
    studio.visitor.post(f"/images/{ids[0]}/cancellation/", {})
    assert studio.states(ids) == ["cancelled"]
    assert studio.visitor.balance() == before
    studio.check_books()


def is_served(studio: Studio) -> bool:
    """Whether a living worker says that it draws with the damaged model."""
    valkey = redis.Redis.from_url(studio.layout.valkey_url(), decode_responses=True)
    with valkey:
        workers = [json.loads(valkey.get(key) or "{}") for key in valkey.keys(f"{PREFIX}*")]
    return any("damaged" in worker.get("models", []) for worker in workers)


def order_that_fails(studio: Studio) -> dict[str, Any]:
    """The facts of an image of the damaged model, whose failure the owner sees and does not pay."""
    before = studio.visitor.balance()
    ids = studio.order(1, model="damaged")
    (image,) = studio.wait_until_ended(ids).values()
    assert image["state"] == "failed"
    assert studio.images(ids)[0]["failure_code"] == "model_unavailable"
    assert image["failure"] in studio.visitor.get("/").decode()
    assert studio.visitor.balance() == before
    return dict(image)
