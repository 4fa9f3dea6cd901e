"""The people, the model and the images that tests are about."""

import hashlib
import io
import uuid
from typing import Any

from PIL import Image as Picture

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, Lora
from webapp.generation.models import Generation
from webapp.generation.queueing import services
from webapp.generation.queueing.claims import Claim, begin_drawings, claim_next
from webapp.generation.queueing.services import DrawingReport
from webapp.generation.request.spec import GenerationSpec
from webapp.generation.storage import write_image_files

PASSWORD = "a long and quiet password"


def make_user(name: str, **extra: Any) -> User:
    """A user `<name>@example.org` with 200 credits."""
    return User.objects.create_user(f"{name}@example.org", PASSWORD, **extra)


def make_model(slug: str = "tiny", **changes: Any) -> DiffusionModel:
    """A model on offer; nothing lies at its location unless the test puts it there."""
    fields: dict[str, Any] = {
        "name": slug.title(),
        "family": "sd",
        "source": DiffusionModel.Source.FOLDER,
        "location": f"/nowhere/{slug}",
        "enabled": True,
        "width_px": 64,
        "height_px": 64,
        "steps": 4,
        "guidance_scale": 5.0,
        "sampler": "ddim",
        "min_side_px": 64,
        "max_side_px": 256,
        "max_pixels": 256 * 256,
    }
    return DiffusionModel.objects.create(slug=slug, **{**fields, **changes})


def make_lora(slug: str = "detail", **changes: Any) -> Lora:
    """A LoRA on offer for Stable Diffusion; nothing lies at its location."""
    fields: dict[str, Any] = {
        "name": slug.title(),
        "family": "sd",
        "location": f"/nowhere/{slug}.safetensors",
        "data_hash": hashlib.sha256(slug.encode()).hexdigest(),
        "size_bytes": 1000,
        "enabled": True,
    }
    return Lora.objects.create(slug=slug, **fields | changes)


def make_spec(**changes: Any) -> GenerationSpec:
    """A small request for one image of a fox."""
    fields: dict[str, Any] = {
        "prompt": "a fox at dusk",
        "negative_prompt": "people",
        "width_px": 64,
        "height_px": 64,
        "steps": 4,
        "guidance_scale": 5.0,
        "sampler": "ddim",
        "seed": 7,
        "count": 1,
    }
    return GenerationSpec(**{**fields, **changes})


def submit(owner: User, model: DiffusionModel, *, key: str = "", **changes: Any) -> Generation:
    """A queued generation of the owner."""
    return services.submit_generation(
        owner=owner,
        model=model,
        spec=make_spec(**changes),
        idempotency_key=key or uuid.uuid4().hex,
    )


def claim(model: DiffusionModel, worker: str = "worker-1", *, begin: bool = False) -> Claim:
    """The next image of the model, claimed, and with `begin` being drawn; fails the test if
    there is none."""
    found = claim_next(models=[model.slug], worker=worker)
    assert found is not None
    if begin:
        begin_drawings(leases={found.image_id: found.lease_token})
    return found


def picture_bytes(kind: str = "PNG", side_px: int = 64) -> bytes:
    """A real image of a gradient."""
    file = io.BytesIO()
    Picture.linear_gradient("L").resize((side_px, side_px)).convert("RGB").save(file, kind)
    return file.getvalue()


STRIP_STEPS = ((0, 999.0), (1, 749.0), (2, 499.0), (3, 249.0), (4, 0.0))


def strip_bytes(frames: int = len(STRIP_STEPS), side_px: int = 64) -> bytes:
    """Frames side by side, the first one grey, the last one the image of `picture_bytes`."""
    picture = Picture.linear_gradient("L").resize((side_px, side_px)).convert("RGB")
    sheet = Picture.new("RGB", (frames * side_px, side_px))
    for place in range(frames):
        grey = Picture.new("RGB", picture.size, (128, 128, 128))
        shown = Picture.blend(grey, picture, place / max(1, frames - 1))
        sheet.paste(shown, (place * side_px, 0))
    file = io.BytesIO()
    sheet.save(file, "WEBP")
    return file.getvalue()


def finish(claimed: Claim) -> bool:
    """Stores a claimed image as a worker would; False if the lease is lost."""
    stored = write_image_files(
        image_id=claimed.image_id,
        lease_token=claimed.lease_token,
        png=picture_bytes(),
        thumbnail_webp=picture_bytes("WEBP"),
        strip_webp=strip_bytes(),
        strip_steps=STRIP_STEPS,
    )
    return services.store_image(
        image_id=claimed.image_id,
        lease_token=claimed.lease_token,
        file=stored,
        rendering=DrawingReport(timings_s={"denoise_s": 0.5}, fingerprint={"device": "cpu"}),
    )
