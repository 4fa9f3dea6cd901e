"""Models on offer, and the price list.

A price list is never changed: a new version takes its place, and open quotes keep theirs. It is
complete: a flat price, models that cost otherwise, and what each group pays of it.
"""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webapp.accounts.models import UserGroup
from webapp.catalog.architectures import Architecture, architecture_choices, architecture_of
from webapp.catalog.locations import local_path
from webapp.catalog.samplers import ZERO_SNR_DROPPED, sampler_choices, sampler_label

MAX_STEPS = 150
LEAST_WEIGHT, MOST_WEIGHT = -4.0, 4.0  # of a LoRA
SLUG_PATTERN = r"^[a-z0-9][a-z0-9.-]{0,63}$"


class DiffusionModel(models.Model):
    """One checkpoint. `enabled` means that users may choose it; `installed` that its files are
    here; a hub model has neither until an admin has read its licence and downloaded it. `location`
    and `installed_path` are as `catalog.locations` keeps them, for every host."""

    class Source(models.TextChoices):
        FOLDER = "folder", _("folder in diffusers format")
        FILE = "file", _("single safetensors file")
        HUB = "hub", _("hub id, downloaded separately")

    slug = models.CharField(max_length=64, unique=True, validators=[RegexValidator(SLUG_PATTERN)])
    name = models.CharField(_("name"), max_length=100)
    summary = models.CharField(_("description"), max_length=200, blank=True)
    family = models.CharField(_("family"), max_length=16, choices=architecture_choices)
    source = models.CharField(_("source"), max_length=8, choices=Source)
    location = models.CharField(
        _("folder, file or hub id"),
        max_length=500,
        help_text=_(
            "Below each host's own DARKROOM_MODELS; a path that begins with / must be the same on"
            " every host."
        ),
    )
    revision = models.CharField(_("revision"), max_length=64, blank=True)
    licence = models.CharField(_("licence"), max_length=120, blank=True)
    installed_path = models.CharField(
        max_length=500, blank=True, help_text=_("Where a downloaded hub model is stored.")
    )
    enabled = models.BooleanField(_("enabled"), default=False)
    groups = models.ManyToManyField(
        UserGroup,
        blank=True,
        related_name="+",
        verbose_name=_("only for groups"),
        help_text=_("Empty: for everybody."),
    )
    is_default = models.BooleanField(_("default"), default=False)
    width_px = models.PositiveIntegerField(_("width"), default=512)
    height_px = models.PositiveIntegerField(_("height"), default=512)
    steps = models.PositiveIntegerField(
        _("steps"), default=30, validators=[MinValueValidator(1), MaxValueValidator(MAX_STEPS)]
    )
    guidance_scale = models.FloatField(_("guidance scale"), default=7.0)
    sampler = models.CharField(_("sampler"), max_length=32, choices=sampler_choices)
    uses_negative_prompt = models.BooleanField(_("uses the negative prompt"), default=True)
    min_side_px = models.PositiveIntegerField(_("shortest side"), default=256)
    max_side_px = models.PositiveIntegerField(_("longest side"), default=1024)
    max_pixels = models.PositiveIntegerField(_("most pixels"), default=1024 * 1024)
    side_multiple_px = models.PositiveIntegerField(_("sides are multiples of"), default=8)
    max_steps = models.PositiveIntegerField(_("most steps"), default=MAX_STEPS)
    problem = models.TextField(
        _("problem"),
        blank=True,
        help_text=_("What the worker last said when it could not load it."),
    )
    base = models.CharField(
        max_length=32,
        blank=True,
        editable=False,
        default="",
        db_default="",
        help_text=_("Which of its family's versions it is, such as sd1; empty if nobody said."),
    )
    vocabulary_digest = models.CharField(
        max_length=64, blank=True, editable=False, default="", db_default=""
    )
    vocabulary_problem = models.TextField(
        _("problem of its vocabulary"),
        blank=True,
        default="",
        db_default="",
        help_text=_("What is wrong with the vocabulary.json in its folder: an older one is kept."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ["-is_default", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="model_one_default"
            ),
            models.CheckConstraint(
                condition=Q(min_side_px__lte=models.F("max_side_px")), name="model_sides_in_order"
            ),
            models.CheckConstraint(
                condition=Q(side_multiple_px__gte=8), name="model_grid_at_least_eight"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def queue(self) -> str:
        """The Celery queue that this model's doorbells ring on."""
        return queue_name(self.slug)

    @property
    def is_installed(self) -> bool:
        """True if the files are said to be here (the worker finds out whether they load)."""
        return self.source != self.Source.HUB or bool(self.installed_path)

    @property
    def path(self) -> str:
        """The folder or file to load on this host; "" for a hub model that was not downloaded."""
        return local_path(self.kept_at)

    @property
    def kept_at(self) -> str:
        """The same as all hosts are told it (`catalog.locations`)."""
        return self.installed_path if self.source == self.Source.HUB else self.location

    @property
    def architecture(self) -> Architecture:
        """What all models of its family have in common; `OTHER`'s for a family that is not
        known."""
        return architecture_of(self.family)

    @property
    def least_guidance(self) -> float:
        """The guidance scale that means none."""
        return self.architecture.least_guidance

    @property
    def most_clip_skip(self) -> int:
        """See `Architecture`; a model with a vocabulary of its own has an encoder of its own."""
        return 1 if self.vocabulary_digest else self.architecture.most_clip_skip

    @property
    def takes_start_image(self) -> bool:
        """False for a model that draws from text alone."""
        return len(self.architecture.modes) > 1

    @property
    def samplers(self) -> list[tuple[str, str]]:
        """(slug, name) of the samplers that suit this model, its default first. Those that would
        drop what its files say of its schedule do not suit it."""
        from webapp.catalog.schedules import schedule_of  # it reads models

        schedule = schedule_of(self)
        dropped = ZERO_SNR_DROPPED if schedule and schedule.is_zero_snr else frozenset()
        fitting = [slug for slug in self.architecture.samplers if slug not in dropped]
        ordered = sorted(fitting, key=lambda slug: slug != self.sampler)
        return [(slug, sampler_label(slug)) for slug in ordered]


class Lora(models.Model):
    """A LoRA, which is laid over models of its family: `<lora:slug:weight>` in a prompt. `location`
    is as `catalog.locations` keeps it; `data_hash`, by which other tools know it, is the SHA-256 of
    its tensors, without the header."""

    slug = models.CharField(
        _("name in prompts"), max_length=64, unique=True, validators=[RegexValidator(SLUG_PATTERN)]
    )
    name = models.CharField(_("name"), max_length=100)
    summary = models.CharField(_("description"), max_length=200, blank=True)
    family = models.CharField(_("family"), max_length=16, choices=architecture_choices)
    base = models.CharField(max_length=32, blank=True, editable=False)
    location = models.CharField(_("file"), max_length=500, unique=True)
    trigger_words = models.CharField(
        _("trigger words"),
        max_length=400,
        blank=True,
        help_text=_("Words that call up what it was trained for; a click puts them in the prompt."),
    )
    licence = models.CharField(_("licence"), max_length=120, blank=True)
    weight = models.FloatField(
        _("usual weight"),
        default=1.0,
        validators=[MinValueValidator(LEAST_WEIGHT), MaxValueValidator(MOST_WEIGHT)],
    )
    data_hash = models.CharField(_("hash"), max_length=64)
    size_bytes = models.BigIntegerField(_("size"))
    enabled = models.BooleanField(_("enabled"), default=False)
    groups = models.ManyToManyField(
        UserGroup,
        blank=True,
        related_name="+",
        verbose_name=_("only for groups"),
        help_text=_("Empty: for everybody."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("LoRA")
        verbose_name_plural = _("LoRAs")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        """The file on this host."""
        return local_path(self.location)

    @property
    def tag(self) -> str:
        """What a prompt says to have it."""
        return f"<lora:{self.slug}:{self.weight:g}>"

    def fits(self, model: DiffusionModel) -> bool:
        """Whether it was trained for such a model; True if nobody knows which version of the family
        one of them is."""
        is_known = self.base and model.base
        return self.family == model.family and (not is_known or self.base == model.base)


class ModelVocabulary(models.Model):
    """What a model's folder says that it knows (`catalog.vocabulary`), kept here since hosts that
    serve pages need not have the folder. Of a model without one there is no row.

    `body` is the file's JSON, as text: the order of its phrases counts, and jsonb would lose it. ""
    after the file was taken away. `style_names` are those of all styles that it ever had, slug ->
    language -> name, for the images that were drawn with them. `digest` is of both; the model's
    `vocabulary_digest` is the same, so that a page that has the model need not look here.
    """

    model = models.OneToOneField(
        DiffusionModel, on_delete=models.CASCADE, primary_key=True, related_name="vocabulary"
    )
    digest = models.CharField(max_length=64)
    body = models.TextField(blank=True)
    style_names = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.model_id}: {self.digest[:12]}"


class ModelManifest(models.Model):
    """The files that a model consists of (`catalog.manifests`): name -> size and digest. Every host
    that draws compares its own with them; who finds none writes it."""

    model = models.OneToOneField(
        DiffusionModel, on_delete=models.CASCADE, primary_key=True, related_name="manifest"
    )
    files = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.model_id}: {len(self.files)} files"


def queue_name(slug: str) -> str:
    """The name of the queue for a model's slug."""
    return f"images.{slug}"


class PriceList(models.Model):
    """One version of the price list; the newest is in force. Before there is one, every image
    costs `DARKROOM_PRICE_PER_IMAGE`."""

    flat_ucr = models.BigIntegerField(_("one image"))
    note = models.CharField(_("note"), max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    class Meta:
        verbose_name = _("price list")
        verbose_name_plural = _("price lists")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(flat_ucr__gte=0), name="price_list_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}"


class ModelPrice(models.Model):
    """What one model costs, if that is not the list's flat price."""

    class Mode(models.TextChoices):
        FLAT = "flat", _("per image")
        METERED = "metered", _("by size and steps")

    price_list = models.ForeignKey(PriceList, on_delete=models.CASCADE, related_name="models")
    model = models.ForeignKey(DiffusionModel, on_delete=models.PROTECT, related_name="+")
    mode = models.CharField(_("pricing"), max_length=8, choices=Mode)
    flat_ucr = models.BigIntegerField(_("one image"), null=True, blank=True)
    factor = models.DecimalField(
        _("factor"), max_digits=16, decimal_places=12, null=True, blank=True
    )
    floor_ucr = models.BigIntegerField(_("minimum price"), null=True, blank=True)

    class Meta:
        verbose_name = _("price of a model")
        verbose_name_plural = _("prices of models")
        constraints = [
            models.UniqueConstraint(fields=["price_list", "model"], name="model_price_once"),
            models.CheckConstraint(
                condition=Q(mode="flat", flat_ucr__gte=0, factor=None, floor_ucr=None)
                | Q(mode="metered", flat_ucr=None, factor__gt=0, floor_ucr__gte=0),
                name="model_price_flat_or_metered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.get_mode_display()}"


class GroupPrice(models.Model):
    """What share of the list's prices a group pays: 1 is all of it, 0 nothing."""

    price_list = models.ForeignKey(PriceList, on_delete=models.CASCADE, related_name="groups")
    group = models.ForeignKey(UserGroup, on_delete=models.SET_NULL, null=True, related_name="+")
    group_name = models.CharField(max_length=80)
    multiplier = models.DecimalField(_("share of the price"), max_digits=7, decimal_places=4)

    class Meta:
        verbose_name = _("price of a group")
        verbose_name_plural = _("prices of groups")
        constraints = [
            models.UniqueConstraint(fields=["price_list", "group"], name="group_price_once"),
            models.CheckConstraint(
                condition=Q(multiplier__gte=0, multiplier__lte=100), name="group_price_in_range"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.group_name} × {self.multiplier}"
