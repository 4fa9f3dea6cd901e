"""The prompt card and the settings: what they show, and what they ask for when they are sent.

The checks are `spec.parse_spec`'s; here a form is only read, or shown again as it was typed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.selectors import get_offered_model, list_offered_models
from webapp.core.errors import DarkroomError, InvalidInput
from webapp.generation import services
from webapp.generation.models import Generation, Image
from webapp.generation.selectors import get_owned_image
from webapp.generation.spec import MAX_COUNT, parse_spec

FIRST_COUNT = 4
FIELDS = (
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "steps",
    "guidance_scale",
    "sampler",
    "seed",
    "count",
)


@dataclass(frozen=True, slots=True)
class Composer:
    """The form as it is shown: `values` are strings as typed, `error` the sentence to show."""

    models: list[DiffusionModel]
    model: DiffusionModel | None
    values: dict[str, str]
    error: DarkroomError | None = None
    counts: list[str] = field(default_factory=lambda: [str(n + 1) for n in range(MAX_COUNT)])

    @property
    def wrong_field(self) -> str:
        """The name of the field that the error is about; "" where it is about none of them."""
        named = self.error.field if isinstance(self.error, InvalidInput) else ""
        return named if named in {*FIELDS, "model"} else ""


def blank_composer() -> Composer:
    """The form on an ordinary visit: the first model on offer and what it is good at."""
    models = list(list_offered_models())
    model = models[0] if models else None
    return Composer(models, model, {"count": str(FIRST_COUNT), **_model_values(model)})


def composer_of_image(image: Image) -> Composer:
    """The form filled with everything that this image was made with, its seed included."""
    models = list(list_offered_models())
    first = models[0] if models else None
    model = next((one for one in models if one.pk == image.generation.model_id), first)
    values = {name: str(value) for name, value in _image_values(image).items()}
    return Composer(models, model, {**values, "count": str(FIRST_COUNT)})


def composer_of_attempt(data: Mapping[str, Any], error: DarkroomError) -> Composer:
    """The form as it was sent, with the sentence that refused it."""
    models = list(list_offered_models())
    first = models[0] if models else None
    model = next((one for one in models if one.slug == data.get("model")), first)
    values = {name: str(data.get(name, "")) for name in FIELDS}
    return Composer(models, model, values, error)


def submit_form(*, owner: User, data: Mapping[str, Any]) -> Generation:
    """The generation that the form asks for; `again` names an image whose request to repeat.

    Raises what `parse_spec` and `services.submit_generation` raise, and NotFound where `again`
    is not the owner's.
    """
    asked = _request_again(owner, data) if data.get("again") else data
    model = get_offered_model(slug=str(asked.get("model", "")))
    return services.submit_generation(
        owner=owner,
        model=model,
        spec=parse_spec(asked, model=model),
        idempotency_key=str(data.get("idempotency_key", "")),
    )


def _request_again(owner: User, data: Mapping[str, Any]) -> dict[str, Any]:
    image = get_owned_image(owner=owner, image_id=data["again"])
    return {**_image_values(image), "model": image.generation.model.slug, "count": 1}


def _image_values(image: Image) -> dict[str, Any]:
    generation = image.generation
    return {
        "prompt": generation.prompt,
        "negative_prompt": generation.negative_prompt,
        "width": generation.width_px,
        "height": generation.height_px,
        "steps": generation.steps,
        "guidance_scale": f"{generation.guidance_scale:g}",
        "sampler": generation.sampler,
        "seed": image.seed,
    }


def _model_values(model: DiffusionModel | None) -> dict[str, str]:
    if model is None:
        return {}
    return {
        "width": str(model.width_px),
        "height": str(model.height_px),
        "steps": str(model.steps),
        "guidance_scale": f"{model.guidance_scale:g}",
        "sampler": model.sampler,
    }


def model_facts(models: list[DiffusionModel]) -> dict[str, dict[str, Any]]:
    """What the page's script needs to know of each model, by slug."""
    return {
        model.slug: {
            "summary": model.summary or _("Installed by this studio"),
            "values": _model_values(model),
            "samplers": model.samplers,
            "uses_negative_prompt": model.uses_negative_prompt,
            "min_side_px": model.min_side_px,
            "max_side_px": model.max_side_px,
            "max_pixels": model.max_pixels,
            "side_multiple_px": model.side_multiple_px,
            "max_steps": model.max_steps,
        }
        for model in models
    }
