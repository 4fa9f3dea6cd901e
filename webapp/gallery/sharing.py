"""Links that show one image to whoever has them. The token is random, and only its hash is
kept: whoever reads the database cannot open a link."""

import hashlib
import secrets
import uuid

from django.db import transaction
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import Conflict, NotFound
from webapp.gallery.models import Share
from webapp.generation.models import Image

TOKEN_BYTES = 24


def share_image(*, owner: User, image_id: uuid.UUID, shows_prompt: bool) -> str:
    """The token of a new link to the image; one that was made before leads nowhere from now on.

    Raises NotFound for an image that is not there or not theirs, and Conflict for one that is
    not finished or in the bin.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic():
        image = _lock_image(owner, image_id)
        if image.state != Image.State.STORED or image.binned_at:
            raise Conflict(_("Only a finished image that is not in the bin can be shared."))
        Share.objects.update_or_create(
            image=image, defaults={"token_hash": hash_token(token), "shows_prompt": shows_prompt}
        )
    return token


def revoke_share(*, owner: User, image_id: uuid.UUID) -> bool:
    """Ends the link to the image; False if there was none. Raises NotFound for an image
    that is not there or not theirs."""
    with transaction.atomic():
        image = _lock_image(owner, image_id)
        revoked, _by_model = Share.objects.filter(image=image).delete()
    return bool(revoked)


def get_share(*, image: Image) -> Share | None:
    """The link to the image, if there is one."""
    return Share.objects.filter(image=image).first()


def get_shared(*, token: str) -> Share:
    """The link of that token with its image and request. Raises NotFound for a token that is
    wrong or revoked, and while the image is in the bin."""
    found = (
        Share.objects.select_related("image__generation")
        .filter(token_hash=hash_token(token), image__binned_at=None, image__owner__is_active=True)
        .first()
    )
    if found is None:
        raise NotFound(_("This link doesn't exist or was revoked."))
    return found


def hash_token(token: str) -> str:
    """What is kept of a token: its SHA-256, as hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _lock_image(owner: User, image_id: uuid.UUID) -> Image:
    image = Image.objects.select_for_update().filter(owner=owner, pk=image_id).first()
    if image is None:
        raise NotFound
    return image
