"""Requests and their images. The committed rows are the queue.

Image.state:

    queued ──claim──> running ──store──────────> stored ──file lost──> failed  (refunded)
      │  ^            │ │ │ ├──────fail────────> failed      (hold released)
      │  ├─give back──┘ │ │ ├─third lost drawing> failed     (hold released)
      │  └─lease ended──┘ │ └──────cancel──────> cancelled   (hold released)
      │                   └─begin: attempt + 1, still running
      └──────────────────cancel────────────────> cancelled   (hold released)

A running image belongs to whoever knows its lease token until the database says otherwise: the
lease may have ended by the clock, as long as nobody took the image it is still theirs. Every
change of state is a conditional UPDATE whose row count is tested. A worker whose UPDATE finds
nothing looks whether `ended_lease` is its own token: then an earlier call had done it, and only
the answer to its commit was lost.

`attempt` counts drawings that began, not claims. An image whose worker was lost while drawing it
goes back into the queue; after two such losses it is drawn alone, and after the third it fails.
`lost_leases` counts every lease that ended by itself, so that an image which kills its worker
before its beginning is written down is drawn alone, too.
"""

import uuid
from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webapp.catalog.models import DiffusionModel, PriceList
from webapp.generation.failures import tell_failure

REQUEST_ID = "request_id"
TRACE = "traceparent"


class Upload(models.Model):
    """An image uploaded as a start, or a mask: decoded, without metadata, encoded anew.

    Requests keep theirs; the sweeper deletes those that no request names after a day.
    """

    class Kind(models.TextChoices):
        START = "start", _("start image")
        MASK = "mask", _("mask")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=5, choices=Kind)
    file = models.CharField(max_length=200)
    width_px = models.PositiveIntegerField(_("width"))
    height_px = models.PositiveIntegerField(_("height"))
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("uploaded image")
        verbose_name_plural = _("uploaded images")

    def __str__(self) -> str:
        return f"{self.kind} {self.width_px}x{self.height_px}"

    @property
    def thumbnail(self) -> str:
        """The name of the small copy (WebP) that lies beside the file."""
        return f"{self.file.removesuffix('.png')}.webp"


class Generation(models.Model):
    """One request: a prompt, its settings and the quoted price; one Image row per image.

    `mode` says what comes along: nothing; a `start` image, of which `strength` may change; a
    `mask` too, where alone it may; an image to draw at twice its size. `parent` is the image
    that the request was made from, if it is one of the owner's.

    `spec.GenerationSpec` says which columns are the request's; `more` are the values of its fields
    that have none of their own, but for those at their defaults, and under `REQUEST_ID` the id that
    the HTTP request had in the log, under `TRACE` the span that it was.
    """

    class Mode(models.TextChoices):
        TEXT = "text", _("text to image")
        IMAGE = "image", _("image to image")
        INPAINT = "inpaint", _("inpainting")
        UPSCALE = "upscale", _("upscaling")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="generations"
    )
    model = models.ForeignKey(DiffusionModel, on_delete=models.PROTECT, related_name="+")
    prompt = models.TextField(_("prompt"))
    negative_prompt = models.TextField(_("negative prompt"), blank=True)
    width_px = models.PositiveIntegerField(_("width"))
    height_px = models.PositiveIntegerField(_("height"))
    steps = models.PositiveIntegerField(_("steps"))
    guidance_scale = models.FloatField(_("guidance scale"))
    sampler = models.CharField(_("sampler"), max_length=32)
    seed = models.BigIntegerField(_("seed"), help_text=_("Image i is generated with seed + i."))
    style = models.CharField(_("style"), max_length=32, blank=True)
    mode = models.CharField(_("mode"), max_length=8, choices=Mode, default=Mode.TEXT)
    start = models.ForeignKey(
        Upload, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    mask = models.ForeignKey(
        Upload, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    strength = models.FloatField(_("strength"), null=True, blank=True)
    parent = models.ForeignKey(
        "Image", on_delete=models.SET_NULL, null=True, blank=True, related_name="children"
    )
    exact = models.BooleanField(_("exact"), default=False)
    more = models.JSONField(default=dict, db_default={}, blank=True)
    price_each_ucr = models.BigIntegerField(_("price of one image"))
    price_list = models.ForeignKey(
        PriceList, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    price_terms = models.JSONField(
        default=dict, blank=True, help_text=_("How the quoted price was calculated.")
    )
    idempotency_key = models.CharField(max_length=64)
    spec_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    # Its images as they were written, known to whoever submitted it and to nobody else.
    just_queued: "Sequence[Image]" = ()

    class Meta:
        verbose_name = _("generation")
        verbose_name_plural = _("generations")
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], name="generation_once_per_key"
            ),
            models.CheckConstraint(
                condition=Q(mode="text", start=None, mask=None, strength=None)
                | Q(mode__in=["image", "upscale"], start__isnull=False, mask=None)
                & Q(strength__gt=0, strength__lte=1)
                | Q(mode="inpaint", start__isnull=False, mask__isnull=False)
                & Q(strength__gt=0, strength__lte=1),
                name="generation_mode_brings_its_pictures",
            ),
        ]
        indexes = [models.Index(fields=["owner", "-created_at"], name="generation_feed")]

    def __str__(self) -> str:
        return self.prompt[:60]


class Image(models.Model):
    """One image of a request, from the queue to the gallery."""

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("generating")
        STORED = "stored", _("finished")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    LIVE = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="images")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    model = models.ForeignKey(DiffusionModel, on_delete=models.PROTECT, related_name="+")
    index = models.PositiveSmallIntegerField()
    seed = models.BigIntegerField(_("seed"))
    cost = models.BigIntegerField(help_text=_("Pixels times steps: the unit of the fair queue."))
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)

    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    ended_lease = models.UUIDField(null=True, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    drawing_since = models.DateTimeField(null=True, blank=True)
    lost_leases = models.PositiveSmallIntegerField(default=0, db_default=0)
    worker = models.CharField(max_length=100, blank=True)

    file = models.CharField(max_length=200, blank=True)
    thumbnail = models.CharField(max_length=200, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveIntegerField(default=0)
    strip = models.CharField(max_length=200, blank=True, help_text=_("Previews side by side."))
    strip_steps = models.JSONField(
        default=list, blank=True, help_text=_("The step that each preview of the strip shows.")
    )
    is_favourite = models.BooleanField(_("favourite"), default=False)
    binned_at = models.DateTimeField(_("in the bin since"), null=True, blank=True)
    failure_code = models.CharField(max_length=40, blank=True)
    failure = models.TextField(blank=True, help_text=_("The sentence that the owner sees."))
    timings_s = models.JSONField(default=dict, blank=True)
    fingerprint = models.JSONField(default=dict, blank=True)
    batch = models.JSONField(
        default=dict, blank=True, help_text=_("Number of rows of its denoiser calls.")
    )

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("image")
        verbose_name_plural = _("images")
        constraints = [
            models.UniqueConstraint(fields=["generation", "index"], name="image_index_unique"),
            models.CheckConstraint(
                condition=Q(state="running", lease_token__isnull=False, lease_until__isnull=False)
                | (~Q(state="running") & Q(lease_token=None, lease_until=None)),
                name="image_lease_only_while_running",
            ),
            models.CheckConstraint(
                condition=(Q(state="stored") & ~Q(file="") & ~Q(sha256=""))
                | (~Q(state="stored") & Q(file="")),
                name="image_file_only_when_stored",
            ),
            models.CheckConstraint(
                condition=Q(state="stored") | Q(is_favourite=False, binned_at=None, strip=""),
                name="image_kept_only_when_stored",
            ),
        ]
        indexes = [
            models.Index(
                fields=["owner", "model", "created_at", "index"],
                condition=Q(state="queued"),
                name="image_queue",
            ),
            models.Index(
                fields=["lease_until"], condition=Q(state="running"), name="image_lease_ends"
            ),
            # The admin site: its list, and what became of the images of a day.
            models.Index(fields=["-created_at", "-id"], name="image_newest"),
            models.Index(
                fields=["-finished_at"], include=["state", "failure_code"], name="image_finished"
            ),
            models.Index(
                fields=["owner", "-finished_at", "-id"],
                include=["generation"],
                condition=Q(state="stored", binned_at=None),
                name="image_gallery",
            ),
            models.Index(
                fields=["owner", "-finished_at", "-id"],
                condition=Q(is_favourite=True, binned_at=None),
                name="image_favourites",
            ),
            models.Index(
                fields=["owner", "-binned_at", "-id"],
                condition=Q(binned_at__isnull=False),
                name="image_bin",
            ),
            models.Index(
                fields=["binned_at"], condition=Q(binned_at__isnull=False), name="image_bin_age"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.generation_id}/{self.index} {self.state}"

    @property
    def failure_told(self) -> str:
        """Why it failed, in the reader's language."""
        return tell_failure(code=self.failure_code, sentence=self.failure)


class QueueShare(models.Model):
    """How much of the workers an owner was served, model by model: what makes claims fair.

    `served_cost` is a virtual clock (start-time fair queueing): an owner who comes back after a
    pause starts at the clock of those who are waiting now, so that neither an idle hour nor a
    busy one is held for or against anybody.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    model = models.ForeignKey(DiffusionModel, on_delete=models.CASCADE, related_name="+")
    served_cost = models.BigIntegerField(default=0, db_index=True)
    queued = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "model"], name="queue_share_unique"),
            models.CheckConstraint(condition=Q(queued__gte=0), name="queue_share_not_negative"),
        ]
        indexes = [
            models.Index(
                fields=["model", "served_cost", "id"],
                condition=Q(queued__gt=0),
                name="queue_share_first",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.owner_id} on {self.model_id}: {self.queued} queued"


class DiscardedFile(models.Model):
    """A file whose row is gone; the sweeper deletes it after the commit that wrote this line."""

    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def discard(names: Iterable[str]) -> None:
        """Has the sweeper delete these files after the commit; "" is none."""
        DiscardedFile.objects.bulk_create(DiscardedFile(name=name) for name in names if name)
