"""Images for the tests of the gallery."""

import io
from datetime import timedelta
from typing import Any

from django.utils import timezone
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.gallery.filters import WallFilter
from webapp.gallery.models import Collection
from webapp.gallery.selectors import list_wall_page
from webapp.generation.models import Generation, Image

PARAMETERS = "a fox at dusk\nSteps: 4, Seed: 7, Model: tiny"


def draw(owner: User, model: DiffusionModel, **changes: Any) -> Image:
    """A finished image of the owner, drawn as a worker would."""
    made = submit(owner, model, **changes)
    assert finish(claim(model))
    return made.images.get(index=0)


def age(image: Image, **changes: Any) -> None:
    """Moves the times of an image (`finished_at`, `binned_at`) by days into the past."""
    now = timezone.now()
    Image.objects.filter(pk=image.pk).update(
        **{name: now - timedelta(days=days) for name, days in changes.items()}
    )


def show(owner: User, **wall: Any) -> list[str]:
    """The prompts on the first page that the filter shows, in their order."""
    page = list_wall_page(owner=owner, wall=WallFilter(**wall))
    return [picture.prompt for picture in page.images]


def change_request(image: Image, **changes: Any) -> None:
    """Writes fields of the request that tests cannot ask for."""
    Generation.objects.filter(pk=image.generation_id).update(**changes)


def put_into(collection: Collection, image: Image) -> None:
    """The image is in the collection."""
    assert image.finished_at is not None
    collection.items.create(image=image, finished_at=image.finished_at)


def png_with_parameters() -> bytes:
    """A PNG as a worker writes it."""
    text = PngInfo()
    text.add_text("parameters", PARAMETERS)
    file = io.BytesIO()
    Picture.linear_gradient("L").resize((64, 64)).convert("RGB").save(file, "PNG", pnginfo=text)
    return file.getvalue()
