"""What a person may ask for: the one table of a request's fields.

A row is an attribute of `GenerationSpec` with its type, its default and its `RequestField`. A new
field is its row and whatever draws it. With a default that means "as before" it needs no migration
(it is kept in `Generation.more`), and requests that don't ask for it stay the same, digests
included; one that is searched, sorted by, or refers to another row gets a column.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from webapp.catalog.models import DiffusionModel
from webapp.catalog.samplers import SAMPLER_NAMES, sampler_label
from webapp.generation.models import Generation, Image
from webapp.generation.request.fields import (
    Choice,
    Control,
    Flag,
    Id,
    Number,
    PageLine,
    RequestField,
    Side,
    Text,
    Whole,
    row,
)
from webapp.generation.request.styles import (
    PLAIN,
    apply_style,
    list_styles,
    style_name,
    style_refusal,
)

Mode = Generation.Mode
MAX_PROMPT_LENGTH = 2000
MAX_COUNT = 10
SEEDS = 2**32
DEFAULT_STRENGTH: dict[str, float] = {Mode.IMAGE: 0.6, Mode.INPAINT: 1.0, Mode.UPSCALE: 0.35}


def _sampler_refusal(slug: str, model: DiffusionModel) -> str:
    sentence = gettext("There is no sampler “%(sampler)s” for %(model)s. On offer: %(offered)s.")
    return sentence % {
        "sampler": SAMPLER_NAMES.get(slug, slug[:32]),
        "model": model.name,
        "offered": ", ".join(name for _slug, name in model.samplers),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSpec:
    """One request for `count` images; `seed` None means that the studio picks one, and `exact`
    that each is drawn alone, so that the same request gives the same bits. What comes along with
    the words, `checks` tells; `parent_id` is the owner's image that it was made from.

    Rows stand in the order in which they are read, checked and shown."""

    prompt: str = row(
        Text(label=_("Prompt"), subject=_("The prompt"), most=MAX_PROMPT_LENGTH, line=None),
        default="",
    )
    negative_prompt: str = row(
        Text(
            label=_("Negative prompt"),
            subject=_("The negative prompt"),
            most=MAX_PROMPT_LENGTH,
            line=None,
        ),
        default="",
    )
    style: str = row(
        Choice(
            label=_("Style"),
            offered=list_styles,
            called=lambda slug, model: style_name(slug, model=model),
            refusal=style_refusal,
            noted_as="Style",
        ),
        default=PLAIN,
    )
    mode: str = row(
        Choice(
            label=_("Mode"),
            offered=lambda _model: [(one.value, str(one.label)) for one in Mode],
            called=lambda slug, _model: str(Mode(slug).label),
            is_brought=True,
        ),
        default=Mode.TEXT.value,
    )
    strength: float | None = row(
        Number(
            label=_("Strength"),
            least=0.05,
            most=1.0,
            places=2,
            by_mode=DEFAULT_STRENGTH,
            is_brought=True,
            noted_as="Denoising strength",
        ),
        default=None,
    )
    start_id: uuid.UUID | None = row(
        Id(
            label=_("Start image"),
            name="start",
            is_brought=True,
            line=PageLine(template="gallery/lines/start.html"),
        ),
        default=None,
    )
    mask_id: uuid.UUID | None = row(
        Id(
            label=_("Mask"),
            name="mask",
            is_brought=True,
            line=PageLine(template="gallery/lines/mask.html"),
        ),
        default=None,
    )
    width_px: int = row(
        Side(
            label=_("Width"),
            name="width",
            line=PageLine(label=_("Size"), template="gallery/lines/size.html"),
        )
    )
    height_px: int = row(Side(label=_("Height"), name="height", line=None))
    steps: int = row(
        Whole(
            label=_("Steps"),
            least=1,
            most="max_steps",
            control=Control(template="slider", is_wide=True),
        )
    )
    guidance_scale: float = row(
        Number(
            label=_("Guidance"),
            least="least_guidance",
            most=30.0,
            control=Control(template="slider", is_wide=True, step=0.5, place=-1),
        )
    )
    sampler: str = row(
        Choice(
            label=_("Sampler"),
            offered=lambda model: model.samplers,
            called=lambda slug, _model: sampler_label(slug),
            refusal=_sampler_refusal,
            control=Control(template="choice"),
        )
    )
    clip_skip: int = row(
        Whole(
            label=_("CLIP skip"),
            least=1,
            most="most_clip_skip",
            control=Control(template="slider", is_wide=True, place=1),
            noted_as="Clip skip",
        ),
        default=1,
    )
    seed: int | None = row(
        Whole(
            label=_("Seed"),
            subject=_("The seed"),
            least=0,
            most=SEEDS - 1,
            word_for_none="random",
            control=Control(template="seed", place=-1),
            line=PageLine(template="gallery/lines/seed.html"),
        ),
        default=None,
    )
    exact: bool = row(
        Flag(
            label=_("Exact mode"),
            yes=_("yes, generated alone"),
            is_typed=False,
            is_repeated=False,
        ),
        default=False,
    )
    count: int = row(
        Whole(
            label=_("Images"),
            subject=_("The number of images"),
            least=1,
            most=MAX_COUNT,
            is_kept=False,
            is_repeated=False,
            line=None,
        ),
        default=1,
    )
    parent_id: uuid.UUID | None = row(
        Id(label=_("Made from"), name="parent", is_brought=True, line=None), default=None
    )

    def digest(self, *, model_slug: str) -> str:
        """SHA-256 of everything asked for: the same key with another digest is a conflict. A field
        without a column counts only if it is asked for: one that is added leaves all digests."""
        asked = {name: value for name, value in asdict(self).items() if not is_idle(name, value)}
        body = json.dumps([model_slug, asked], sort_keys=True, default=str)
        return hashlib.sha256(body.encode()).hexdigest()


FIELDS: tuple[RequestField, ...] = tuple(
    replace(
        one.metadata["row"],
        attribute=one.name,
        name=one.metadata["row"].name or one.name,
    )
    for one in fields(GenerationSpec)
)
ROWS = {one.attribute: one for one in FIELDS}
KEPT = frozenset(one.attribute for one in FIELDS if one.is_kept)
# Of those that are kept, the ones that have no column.
IN_MORE = KEPT - {column.attname for column in Generation._meta.concrete_fields}


def read_spec(data: Mapping[str, Any], *, model: DiffusionModel) -> GenerationSpec:
    """The spec of a form or JSON body, not checked yet; fields left out take their defaults.
    Raises InvalidInput for what can't be read."""
    mode = str(data.get("mode") or Mode.TEXT)
    return GenerationSpec(
        **{one.attribute: one.read(data, model=model, mode=mode) for one in FIELDS}
    )


def check_fields(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    """None if each field by itself is what the model can be asked for; raises InvalidInput for the
    first that is off."""
    for one in FIELDS:
        one.check(getattr(spec, one.attribute), model=model, mode=spec.mode)


def spec_of(asked: Generation) -> GenerationSpec:
    """The request as its row keeps it, for one image and with the seed of the first."""
    columns = {name: getattr(asked, name) for name in KEPT - IN_MORE}
    return GenerationSpec(**columns, **{name: asked.more[name] for name in IN_MORE & {*asked.more}})


def drawn_spec(image: Image) -> GenerationSpec:
    """What the model is asked for: the words of the style are in the prompts, and the seed is this
    image's."""
    spec = spec_of(image.generation)
    words = apply_style(
        spec.style,
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        model=image.model,
    )
    return replace(
        spec, prompt=words.prompt, negative_prompt=words.negative_prompt, seed=image.seed
    )


def stored_values(spec: GenerationSpec) -> dict[str, Any]:
    """The columns of a `Generation` that keep the request, `more` among them."""
    kept = {name: getattr(spec, name) for name in KEPT}
    more = {name: kept.pop(name) for name in IN_MORE}
    return kept | {"more": {n: value for n, value in more.items() if not is_idle(n, value)}}


def is_idle(attribute: str, value: Any) -> bool:
    """Whether a field that is kept in `more` is as if nobody had asked for it."""
    return attribute in IN_MORE and value == ROWS[attribute].default


def form_values(spec: GenerationSpec) -> dict[str, str]:
    """The fields of the form that ask for it again, by name, each as it is typed."""
    return {one.name: one.write(getattr(spec, one.attribute)) for one in FIELDS if one.is_repeated}


def image_values(image: Image) -> dict[str, str]:
    """The fields of the form that made this image, its own seed among them."""
    return form_values(replace(spec_of(image.generation), seed=image.seed))


def noted_values(spec: GenerationSpec) -> dict[str, str]:
    """What the text in the file says beside that which every tool says, by its name there; "" for
    what is not to be said."""
    return {one.noted_as: one.note(getattr(spec, one.attribute)) for one in FIELDS if one.noted_as}


def usual_values(model: DiffusionModel | None) -> dict[str, str]:
    """The fields of the form if nothing is asked for yet; without a model, those that don't need
    one."""
    return {
        one.name: one.write(one.usual(model=model, mode=Mode.TEXT))
        for one in FIELDS
        if one.is_typed and (model or one.has_default)
    }


def model_values(model: DiffusionModel | None) -> dict[str, str]:
    """Those of the form's fields that each model has its own usual value of."""
    return {
        one.name: one.write(one.usual(model=model, mode=Mode.TEXT))
        for one in FIELDS
        if model and not one.has_default
    }
