"""Requests that begin with an image."""

import io
import uuid
from typing import Any

from django.core.files.base import ContentFile
from django.test import Client
from PIL import Image as Picture

from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Image, Upload
from webapp.generation.request import uploads

JSON = {"Accept": "application/json"}


def keep(owner: User, *, kind: str = "start", size: tuple[int, int] = (64, 64)) -> Upload:
    file = io.BytesIO()
    Picture.linear_gradient("L").resize(size).convert("RGB").save(file, "PNG")
    content = ContentFile(file.getvalue())
    return uploads.create_upload(owner=owner, file=content, size_bytes=content.size, kind=kind)


def form(model: DiffusionModel, **changes: Any) -> dict[str, Any]:
    fields = {
        "model": model.slug,
        "prompt": "a fox",
        "quoted_each_ucr": "200000",
        "idempotency_key": uuid.uuid4().hex,
    }
    return {**fields, **changes}


def stored(owner: User, model: DiffusionModel, **changes: Any) -> Image:
    made = submit(owner, model, **changes)
    assert finish(claim(model))
    return made.images.get(index=0)


def post(client: Client, fields: dict[str, Any]) -> Any:
    return client.post("/generations/", fields, headers=JSON)
