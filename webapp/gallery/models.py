"""What people make of their images: collections, and links that show one to others."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from webapp.generation.models import Image


class Collection(models.Model):
    """A named set of one person's images; an image may be in several."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="collections"
    )
    name = models.CharField(_("name"), max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("collection")
        verbose_name_plural = _("collections")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="collection_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class CollectionItem(models.Model):
    """One image in one collection. `finished_at` is the image's own, copied so that a page
    of a large collection is one index scan."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="items")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="collection_items")
    finished_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["collection", "image"], name="collection_item_once"),
        ]
        indexes = [
            models.Index(
                fields=["collection", "-finished_at", "-image"], name="collection_newest_first"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image_id} in {self.collection_id}"


class Share(models.Model):
    """A link that shows one image to whoever has it, until it is revoked. The token in the
    address is random and only its hash is kept; the owner sees it when the link is made."""

    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="share")
    token_hash = models.CharField(max_length=64, unique=True)
    shows_prompt = models.BooleanField(_("shows the prompt"), default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("shared image")
        verbose_name_plural = _("shared images")

    def __str__(self) -> str:
        return f"{self.image_id}"
