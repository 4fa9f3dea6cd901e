"""What a person may ask for. Everything is checked here, and nothing is clamped in silence."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel
from webapp.catalog.samplers import SAMPLER_NAMES
from webapp.core.digits import read_float, read_whole
from webapp.core.errors import InvalidInput
from webapp.generation.modes import check_mode, parse_mode
from webapp.generation.styles import PLAIN
from webapp.generation.vocabulary_checks import check_named_size, check_style, check_words

MAX_PROMPT_LENGTH = 2000
MIN_GUIDANCE, MAX_GUIDANCE = 1.0, 30.0
MAX_COUNT = 10
SEEDS = 2**32
FLAGS = {"1": True, "on": True, "True": True, "0": False, "off": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSpec:
    """One request for `count` images; `seed` None means that the studio picks one, and `exact`
    that each is drawn alone, so that the same request gives the same bits. What comes along with
    the words, `generation.modes` tells; `parent_id` is the owner's image that it was made from."""

    prompt: str
    negative_prompt: str
    width_px: int
    height_px: int
    steps: int
    guidance_scale: float
    sampler: str
    seed: int | None
    count: int
    exact: bool = False
    style: str = PLAIN
    mode: str = "text"
    start_id: uuid.UUID | None = None
    mask_id: uuid.UUID | None = None
    strength: float | None = None
    parent_id: uuid.UUID | None = None

    def digest(self, *, model_slug: str) -> str:
        """SHA-256 of everything asked for: the same key with another digest is a conflict."""
        body = json.dumps([model_slug, asdict(self)], sort_keys=True, default=str)
        return hashlib.sha256(body.encode()).hexdigest()


def parse_spec(data: Mapping[str, Any], *, model: DiffusionModel) -> GenerationSpec:
    """The checked spec of a form or JSON body; fields left out take the model's defaults.

    Raises InvalidInput, which names the field and what is allowed.
    """
    sides_px = model.min_side_px, model.max_side_px
    spec = GenerationSpec(
        prompt=_text(data, "prompt", label=_("The prompt")),
        negative_prompt=_text(data, "negative_prompt", label=_("The negative prompt")),
        width_px=_whole(data, "width", default=model.width_px, label=_("Width"), bounds=sides_px),
        height_px=_whole(
            data, "height", default=model.height_px, label=_("Height"), bounds=sides_px
        ),
        steps=_whole(
            data, "steps", default=model.steps, label=_("Steps"), bounds=(1, model.max_steps)
        ),
        guidance_scale=_number(data, "guidance_scale", default=model.guidance_scale),
        sampler=str(data.get("sampler") or model.sampler),
        seed=_seed(data),
        count=_whole(
            data, "count", default=1, label=_("The number of images"), bounds=(1, MAX_COUNT)
        ),
        exact=_flag(data, "exact", label=_("Exact mode")),
        style=str(data.get("style") or PLAIN),
        **parse_mode(data),
    )
    check_spec(spec, model=model)
    return spec


def check_spec(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    """None for what the model can draw; raises InvalidInput for the first field that is off."""
    _check_prompts(spec, model=model)
    _check_size(spec, model=model)
    _check_range("steps", _("Steps"), spec.steps, 1, model.max_steps)
    _check_range("count", _("The number of images"), spec.count, 1, MAX_COUNT)
    if not MIN_GUIDANCE <= spec.guidance_scale <= MAX_GUIDANCE:
        raise InvalidInput(
            _("Guidance must be from %(least)g to %(most)g.")
            % {"least": MIN_GUIDANCE, "most": MAX_GUIDANCE},
            field="guidance_scale",
        )
    if spec.seed is not None:
        _check_range("seed", _("The seed"), spec.seed, 0, SEEDS - 1)
    _check_sampler(spec, model=model)
    check_style(spec, model=model)
    check_mode(spec, model=model)
    check_words(spec, model=model)


def _check_prompts(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    if not spec.prompt.strip():
        raise InvalidInput(_("Write a prompt: say what the picture should show."), field="prompt")
    if spec.negative_prompt.strip() and not model.uses_negative_prompt:
        raise InvalidInput(
            _("%(model)s takes no negative prompt: leave that field empty.")
            % {"model": model.name},
            field="negative_prompt",
        )
    for field, label, text in (
        ("prompt", _("The prompt"), spec.prompt),
        ("negative_prompt", _("The negative prompt"), spec.negative_prompt),
    ):
        if len(text) > MAX_PROMPT_LENGTH:
            raise InvalidInput(
                _("%(label)s has %(length)d characters; at most %(most)d are allowed.")
                % {"label": label, "length": len(text), "most": MAX_PROMPT_LENGTH},
                field=field,
            )


def _check_size(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    size = {"width_px": spec.width_px, "height_px": spec.height_px}
    check_named_size(model, **size, field="width")
    for field, label, side_px in (
        ("width", _("Width"), spec.width_px),
        ("height", _("Height"), spec.height_px),
    ):
        _check_range(field, label, side_px, model.min_side_px, model.max_side_px)
        if side_px % model.side_multiple_px:
            raise InvalidInput(
                _("%(label)s must be a multiple of %(grid)d pixels; %(value)d is not.")
                % {"label": label, "grid": model.side_multiple_px, "value": side_px},
                field=field,
            )
    if spec.width_px * spec.height_px > model.max_pixels:
        raise InvalidInput(
            _("%(width)d × %(height)d is more than the %(most)d pixels that %(model)s can draw.")
            % {
                "width": spec.width_px,
                "height": spec.height_px,
                "most": model.max_pixels,
                "model": model.name,
            },
            field="width",
        )


def _check_sampler(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    offered = dict(model.samplers)
    if spec.sampler not in offered:
        raise InvalidInput(
            _("There is no sampler “%(sampler)s” for %(model)s. On offer: %(offered)s.")
            % {
                "sampler": SAMPLER_NAMES.get(spec.sampler, spec.sampler[:32]),
                "model": model.name,
                "offered": ", ".join(offered.values()),
            },
            field="sampler",
        )


def _check_range(field: str, label: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(
            _("%(label)s must be from %(least)d to %(most)d; %(value)s is not.")
            % {"label": label, "least": least, "most": most, "value": str(value)[:24]},
            field=field,
        )


def _text(data: Mapping[str, Any], field: str, *, label: str) -> str:
    value = data.get(field) or ""
    if not isinstance(value, str) or "\x00" in value:
        raise InvalidInput(_("%(label)s must be plain text.") % {"label": label}, field=field)
    return value.replace("\r\n", "\n").strip()


def _whole(
    data: Mapping[str, Any], field: str, *, default: int, label: str, bounds: tuple[int, int]
) -> int:
    value = data.get(field)
    if value is None or value == "":
        return default
    try:
        return read_whole(value)
    except ValueError as error:
        sentence = _("%(label)s must be a whole number from %(least)d to %(most)d.")
        facts = {"label": label, "least": bounds[0], "most": bounds[1]}
        raise InvalidInput(sentence % facts, field=field) from error


def _number(data: Mapping[str, Any], field: str, *, default: float) -> float:
    value = data.get(field)
    if value is None or value == "":
        return default
    try:
        return read_float(value)
    except ValueError as error:
        sentence = _("Guidance must be a number from %(least)g to %(most)g.")
        facts = {"least": MIN_GUIDANCE, "most": MAX_GUIDANCE}
        raise InvalidInput(sentence % facts, field=field) from error


def _flag(data: Mapping[str, Any], field: str, *, label: str) -> bool:
    value = str(data.get(field) or "0")
    if value not in FLAGS:
        raise InvalidInput(_("%(label)s is either on or off.") % {"label": label}, field=field)
    return FLAGS[value]


def _seed(data: Mapping[str, Any]) -> int | None:
    if data.get("seed") in (None, "", "random"):
        return None
    return _whole(data, "seed", default=0, label=_("The seed"), bounds=(0, SEEDS - 1))
