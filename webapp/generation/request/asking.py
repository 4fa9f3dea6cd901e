"""From what a form or a JSON body says to a request that can be drawn. Everything is checked here,
and nothing is clamped in silence."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.generation.request.modes import check_mode
from webapp.generation.request.spec import GenerationSpec, check_fields, read_spec
from webapp.generation.request.vocabulary_checks import check_named_size, check_words


def parse_spec(data: Mapping[str, Any], *, model: DiffusionModel) -> GenerationSpec:
    """The checked spec of a form or JSON body; fields left out take the model's defaults.

    Raises InvalidInput, which names the field and what is allowed.
    """
    spec = read_spec(data, model=model)
    check_spec(spec, model=model)
    return spec


def check_spec(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    """None for what the model can draw; raises InvalidInput for the first field that is off."""
    _check_prompts(spec, model=model)
    check_named_size(model, width_px=spec.width_px, height_px=spec.height_px, field="width")
    check_fields(spec, model=model)
    _check_pixels(spec, model=model)
    check_mode(spec, model=model)
    check_words(spec, model=model)


def _check_prompts(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    if not spec.prompt.strip():
        raise InvalidInput(_("Write a prompt: say what the image should show."), field="prompt")
    if spec.negative_prompt.strip() and not model.uses_negative_prompt:
        raise InvalidInput(
            _("%(model)s takes no negative prompt: leave that field empty.")
            % {"model": model.name},
            field="negative_prompt",
        )


def _check_pixels(spec: GenerationSpec, *, model: DiffusionModel) -> None:
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
