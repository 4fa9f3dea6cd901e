"""A model that is broken or gone: the image fails with a sentence, nobody pays, admins hear."""

import shutil
from typing import Any

import pytest

from tests.faults.studio import Studio

pytestmark = pytest.mark.faults


def test_images_of_a_broken_and_then_missing_model_fail_with_a_sentence_and_a_notice(
    studio: Studio,
) -> None:
    model = studio.trial.folder / "damaged"
    shutil.copytree(studio.model, model)
    studio.trial.manage("models", "add", str(model), "--enable")
    weights = next((model / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    broken = order_that_fails(studio)
    shutil.rmtree(model)
    missing = order_that_fails(studio)
    assert broken["failure"] != missing["failure"]
    (notice,) = studio.rows("SELECT * FROM core_notice WHERE code LIKE '%%:damaged'")
    assert missing["failure"] in notice["sentence"]
    assert notice["detail"]
    assert notice["times"] == 2
    studio.check_books()


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
