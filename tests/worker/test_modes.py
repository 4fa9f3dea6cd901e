"""From an upload to the finished image, with the real engine and a tiny pipeline."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image as Picture
from PIL import ImageChops, ImageStat

from tests.people import make_model, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.models import Notice
from webapp.credits.selectors import get_balance
from webapp.generation.models import Generation, Image, Upload
from webapp.generation.queueing import services
from webapp.generation.queueing.claims import Claim, claim_next
from webapp.generation.request import uploads
from webapp.generation.storage import read_file
from webapp.generation.studio.submitting import enlarge_image
from webapp.operations.audit import find_violations
from worker.finishing.parameters import read_parameters
from worker.start_images import StartImageLost, read_start_images
from worker.tasks import Desk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]
START_UCR = 200_000_000
SIDE_PX = 64
PROJECT = Path(__file__).resolve().parents[2]
APPLE: dict[str, Any] = {
    "prompt": "a red apple on a blue background",
    "negative_prompt": "",
    "width_px": 128,
    "height_px": 128,
    "steps": 20,
    "guidance_scale": 3.0,
    "seed": 3,
}


@pytest.fixture
def starter(transactional_db: None) -> DiffusionModel:
    """The model that ships."""
    sizes = {"width_px": 128, "height_px": 128, "steps": 20}
    return make_model("starter", location=str(PROJECT / "worker/starter/pipeline"), **sizes)


def keep(owner: User, picture: Picture.Image, kind: str = "start") -> Upload:
    file = io.BytesIO()
    picture.save(file, "PNG")
    content = ContentFile(file.getvalue())
    return uploads.create_upload(owner=owner, file=content, size_bytes=content.size, kind=kind)


def scene(width_px: int = SIDE_PX, height_px: int = SIDE_PX) -> Picture.Image:
    """Slopes of colour with a red square left of the middle."""
    size = (width_px, height_px)
    bands = [Picture.linear_gradient("L"), Picture.radial_gradient("L"), Picture.new("L", size, 90)]
    picture = Picture.merge("RGB", [band.resize(size) for band in bands])
    picture.paste((250, 20, 60), (width_px // 4, height_px // 4, width_px // 2, height_px // 2))
    return picture


def right_half(width_px: int = SIDE_PX, height_px: int = SIDE_PX) -> Picture.Image:
    mask = Picture.new("L", (width_px, height_px))
    mask.paste(255, (width_px // 2, 0, width_px, height_px))
    return mask


def apple_picture() -> Picture.Image:
    """What the starter model draws of an apple."""
    with Picture.open(PROJECT / "tests/pipelines/starter.png") as picture:
        return picture.convert("RGB")


def draw(desk: Desk, owner: User, model: DiffusionModel, **asked: Any) -> Picture.Image:
    made = submit(owner, model, **asked)
    desk.answer()
    return opened(made.images.get())


def opened(image: Image) -> Picture.Image:
    assert image.state == "stored", image.failure
    return Picture.open(io.BytesIO(read_file(image.file)))


def difference(one: Picture.Image, other: Picture.Image) -> float:
    """The mean distance of their bytes, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def test_the_weaker_the_strength_the_more_it_resembles_the_start_picture(
    alice: User, starter: DiffusionModel, desk: Desk
) -> None:
    apple = apple_picture()
    # Unguided: guidance pushes this small model to the prompt within the last steps.
    asked = {**APPLE, "guidance_scale": 1.0, "prompt": "a cat on a yellow background"}
    asked |= {"mode": "image", "start_id": keep(alice, apple).pk}
    weak, middle, all_of_it = (
        draw(desk, alice, starter, **asked, strength=strength) for strength in (0.05, 0.6, 1.0)
    )
    assert weak.size == apple.size
    distances = [difference(apple, picture) for picture in (weak, middle, all_of_it)]
    assert distances == sorted(distances)
    assert distances[0] < distances[2] / 6
    assert not list(find_violations())


def test_repainting_keeps_what_is_outside_the_mask(
    alice: User, starter: DiffusionModel, desk: Desk
) -> None:
    apple = apple_picture()
    brought = {"start_id": keep(alice, apple).pk}
    brought["mask_id"] = keep(alice, right_half(*apple.size), kind="mask").pk
    asked = {**APPLE, "prompt": "a house on a green background", "mode": "inpaint"}
    picture = draw(desk, alice, starter, **asked, **brought, strength=1.0)
    left, right = (0, 0, 56, 128), (72, 0, 128, 128)  # a latent's width from the mask's edge
    kept = difference(apple.crop(left), picture.crop(left))
    repainted = difference(apple.crop(right), picture.crop(right))
    assert kept < 12
    assert kept < repainted / 3


def test_an_enlargement_draws_over_the_very_picture_at_twice_its_size(
    alice: User, starter: DiffusionModel, desk: Desk
) -> None:
    small = submit(alice, starter, **APPLE)
    desk.answer()
    image = small.images.get()
    enlarge_image(owner=alice, image=image, idempotency_key="one")
    asked = claim_next(models=[starter.slug], worker="another")
    assert asked is not None
    assert read_start_images(asked)["start"].pixels == opened(image).tobytes()
    assert services.give_back_image(claim=asked)
    desk.answer()
    large = opened(Image.objects.get(generation__mode="upscale"))
    assert large.size == (256, 256)
    told = read_parameters(large.info["parameters"])
    assert (told.more, told.width_px, told.seed) == (
        {"Denoising strength": "0.35"},
        256,
        APPLE["seed"],
    )
    assert get_balance(user=alice).posted_ucr == START_UCR - 2 * 200_000
    assert not list(find_violations())


def test_a_start_picture_whose_file_is_gone_fails_with_a_sentence_and_without_a_charge(
    alice: User, tiny: DiffusionModel, desk: Desk
) -> None:
    start = keep(alice, scene())
    submit(alice, tiny, mode="image", start_id=start.pk, strength=0.5)
    default_storage.delete(start.file)
    desk.answer()
    image = Image.objects.get()
    assert (image.state, image.failure_code) == ("failed", "start_picture_lost")
    assert image.failure == "The start image or its mask no longer exists. Add it again."
    assert get_balance(user=alice).available_ucr == START_UCR
    assert not Notice.objects.exists()  # nothing is wrong with the model
    assert not list(find_violations())


# Cut to size


def claim_of(owner: User, model: DiffusionModel, **asked: Any) -> Claim:
    submit(owner, model, **asked)
    found = claim_next(models=[model.slug], worker="this-process")
    assert found is not None
    return found


def test_a_start_picture_and_its_mask_are_cropped_around_their_middle_alike(
    alice: User, tiny: DiffusionModel
) -> None:
    """256 × 64 into a square: what is left is the middle quarter of the width."""
    wide, mask = Picture.new("RGB", (256, 64)), Picture.new("L", (256, 64))
    wide.paste((255, 0, 0), (128, 0, 256, 64))
    mask.paste(255, (128, 0, 256, 64))
    brought = {"start_id": keep(alice, wide).pk, "mask_id": keep(alice, mask, kind="mask").pk}
    cut = read_start_images(claim_of(alice, tiny, mode="inpaint", strength=1.0, **brought))
    start = Picture.frombytes("RGB", (SIDE_PX, SIDE_PX), cut["start"].pixels)
    painted = Picture.frombytes("L", (SIDE_PX, SIDE_PX), cut["mask"].pixels)
    assert start.getchannel("R").tobytes() == painted.tobytes()
    assert (painted.getpixel((31, 30)), painted.getpixel((32, 30))) == (0, 255)


def test_an_enlargement_begins_at_half_the_size(alice: User, tiny: DiffusionModel) -> None:
    start = keep(alice, scene(100, 61))
    size = {"width_px": 200, "height_px": 120}
    asked = claim_of(alice, tiny, mode="upscale", start_id=start.pk, strength=0.35, **size)
    picture = read_start_images(asked)["start"]
    assert (picture.width_px, picture.height_px) == (100, 60)


def test_words_alone_bring_nothing(alice: User, tiny: DiffusionModel) -> None:
    assert read_start_images(claim_of(alice, tiny)) == {}


def test_a_file_that_is_no_picture_is_lost(alice: User, tiny: DiffusionModel) -> None:
    start = keep(alice, scene())
    (Path(settings.MEDIA_ROOT) / start.file).write_bytes(b"eaten by the disk")
    asked = claim_of(alice, tiny, mode="image", start_id=start.pk, strength=0.5)
    with pytest.raises(StartImageLost):
        read_start_images(asked)
    assert Generation.objects.get().start == start
