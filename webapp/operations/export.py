"""Everything that the studio keeps about one person, as the entries of a zip archive.

Rows are written with all their columns, so that one that is added later is exported too. They are
read in batches, and the database connection goes back to the pool between two of them: somebody
with a slow line downloads for hours.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from webapp.accounts.models import User
from webapp.accounts.second_step import list_second_steps
from webapp.core.units import format_credits
from webapp.core.zipping import ZipEntry
from webapp.credits.models import Account, CreditRequest
from webapp.gallery.downloads import download_name
from webapp.gallery.models import Collection as ImageCollection
from webapp.gallery.models import Share
from webapp.generation.models import Generation, Image, Upload
from webapp.generation.storage import read_pieces
from webapp.statements.csv_file import read_csv
from webapp.statements.filters import StatementFilter

ROWS_AT_ONCE = 200
Row = TypeVar("Row", Generation, Image, Upload)
# Hashes, secrets, keys of forms, and names in our storage: nothing that tells about the person.
NOT_PERSONAL = {
    "password",
    "session_epoch",
    "spec_hash",
    "idempotency_key",
    "token_hash",
    "lease_token",
    "lease_until",
    "file",
    "thumbnail",
    "strip",
    "decided_by",
    "session_key",
    "data",
}


def list_entries(*, user: User) -> Iterator[ZipEntry]:
    """profile.json, generations.json, requests.json, statement.csv, then the images one by one:
    those that were drawn, and those that were uploaded as a start."""
    account = Account.objects.get(user=user)
    yield ZipEntry("profile.json", lambda: _json(_profile(user)), compressed=True)
    yield ZipEntry("generations.json", lambda: _generations(user), compressed=True)
    yield ZipEntry("requests.json", lambda: _json(_requests(user)), compressed=True)
    lines = read_csv(account=account, asked=StatementFilter())
    yield ZipEntry("statement.csv", lambda: lines, compressed=True)
    stored = Image.objects.filter(owner=user, state=Image.State.STORED).select_related("generation")
    for image in _in_batches(stored):
        yield _file(image_name(image), image.file, image)
    for upload in _in_batches(Upload.objects.filter(owner=user)):
        yield _file(upload_name(upload), upload.file, upload)


def count_images(*, user: User) -> int:
    """How many finished images there are of the person, those in the bin too."""
    return Image.objects.filter(owner=user, state=Image.State.STORED).count()


def image_name(image: Image) -> str:
    """What an image is called in the archive: day, words and seed, and no two alike."""
    day = timezone.localtime(image.created_at).date().isoformat()
    stem = download_name(image).removesuffix(".png")
    return f"images/{day}-{stem}-{image.pk.hex[:8]}.png"


def upload_name(upload: Upload) -> str:
    """What an uploaded image is called in the archive."""
    return f"uploads/{upload.pk}.png"


def _file(name: str, stored_name: str, row: Image | Upload) -> ZipEntry:
    return ZipEntry(name, lambda: read_pieces(stored_name), modified=row.created_at)


def _profile(user: User) -> dict[str, Any]:
    stored = User.objects.select_related("group", "account").get(pk=user.pk)
    account = stored.account
    addresses = EmailAddress.objects.filter(user=user).order_by("pk")
    collections = ImageCollection.objects.filter(owner=user).prefetch_related("items")
    shares = Share.objects.filter(image__owner=user).order_by("pk")
    return {
        **_facts(stored),
        "group": str(stored.group or ""),
        "credits": {
            "posted": format_credits(account.posted_ucr),
            "held": format_credits(account.held_ucr),
        },
        "addresses": [_facts(address) for address in addresses],
        "collections": [
            {**_facts(one), "images": [item.image_id for item in one.items.all()]}
            for one in collections
        ],
        "shared_images": [_facts(share) for share in shares],
        "second_steps": [_facts(step) for step in list_second_steps(user=user)],
        "signed_in": [_facts(session) for session in UserSession.objects.filter(user=user)],
    }


def _requests(user: User) -> list[dict[str, Any]]:
    asked = CreditRequest.objects.filter(user=user).order_by("pk")
    return [_facts(request) for request in asked]


def _generations(user: User) -> Iterator[bytes]:
    """A list of requests, each with its images, a batch at a time."""
    yield b"["
    mark = b"\n"
    asked = Generation.objects.filter(owner=user).select_related("model")
    for generation in _in_batches(asked.prefetch_related("images")):
        images = sorted(generation.images.all(), key=lambda image: image.index)
        facts = {
            **_facts(generation),
            "model": generation.model.slug,
            "images": [_image_facts(generation, image) for image in images],
        }
        yield mark + _dump(facts)
        mark = b",\n"
    yield b"\n]\n"


def _image_facts(generation: Generation, image: Image) -> dict[str, Any]:
    image.generation = generation
    is_there = image.state == Image.State.STORED
    skipped = {"generation", "model"}
    return {**_facts(image, but=skipped), "image": image_name(image) if is_there else ""}


def _in_batches(rows: QuerySet[Row]) -> Iterator[Row]:
    """All rows in the order they were made, a page at a time, whatever is added meanwhile."""
    page = list(rows.order_by("created_at", "pk")[:ROWS_AT_ONCE])
    while page:
        _give_connection_back()
        yield from page
        at, pk = page[-1].created_at, page[-1].pk
        later = Q(created_at__gt=at) | Q(created_at=at, pk__gt=pk)
        page = list(rows.filter(later).order_by("created_at", "pk")[:ROWS_AT_ONCE])


def _give_connection_back() -> None:
    if not connection.in_atomic_block:
        connection.close()


def _facts(row: Model, *, but: Collection[str] = ()) -> dict[str, Any]:
    """Column -> value; amounts in credits, other rows by their ids, owners left out."""
    skipped = {*NOT_PERSONAL, "owner", "user", *but}
    fields = [field for field in row._meta.concrete_fields if field.name not in skipped]
    return dict(_fact(field.name, getattr(row, field.attname)) for field in fields)


def _fact(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith("_ucr") and value is not None:
        return name.removesuffix("_ucr"), format_credits(value)
    return name, value


def _json(facts: Any) -> Iterator[bytes]:
    yield _dump(facts) + b"\n"


def _dump(facts: Any) -> bytes:
    return json.dumps(facts, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1).encode()
