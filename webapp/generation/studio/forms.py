"""The prompt card and the settings: what they show.

Here a form is only shown; `submitting` reads what was typed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.loras import list_loras_for
from webapp.catalog.models import DiffusionModel, Lora
from webapp.catalog.pricing import Prices, read_prices
from webapp.catalog.samplers import spacing_facts
from webapp.catalog.selectors import list_offered_models
from webapp.catalog.start_levels import start_levels
from webapp.catalog.vocabulary_selectors import list_sizes, offered_sizes
from webapp.core.digits import read_whole
from webapp.core.errors import DarkroomError, InvalidInput
from webapp.generation.models import Generation, Image
from webapp.generation.request.fields import Choice, Control, Number, RequestField
from webapp.generation.request.spec import (
    DEFAULT_STRENGTH,
    FIELDS,
    MAX_COUNT,
    image_values,
    model_values,
    usual_values,
)
from webapp.generation.request.styles import (
    PLAIN,
    STYLE_GONE,
    Style,
    offered_styles,
    page_styles,
    style_name,
    style_or_none,
)
from webapp.generation.studio.knowledge import (
    count_sentence,
    first_ideas,
    follows_sentence,
    page_ideas,
)


@dataclass(frozen=True, slots=True)
class ShownControl:
    """One of them as it stands: its `value` as it is typed, and what the model allows, as text.
    Without a model the limits are those of any, and there is nothing to choose."""

    field: RequestField
    template: str
    is_wide: bool
    value: str
    step: str
    least: str = ""
    most: str = ""
    choices: tuple[tuple[str, str], ...] = ()


def show_controls(values: Mapping[str, str], *, model: DiffusionModel | None) -> list[ShownControl]:
    """Those below "Advanced" as they stand with these values, the lowest `place` first."""
    placed = sorted(_controls(), key=lambda pair: pair[1].place)
    return [
        ShownControl(
            field=one,
            template=f"generation/controls/{control.template}.html",
            is_wide=control.is_wide,
            value=values.get(one.name, ""),
            step=f"{control.step:g}",
            **_allowed(one, model),
        )
        for one, control in placed
    ]


def control_facts(model: DiffusionModel) -> dict[str, Any]:
    """For the page's script, which changes them with the model: `limits`, name -> (least, most),
    and `choices`, name -> (slug, name) of each."""
    numbers = [one for one, _control in _controls() if isinstance(one, Number)]
    chosen = [one for one, _control in _controls() if isinstance(one, Choice)]
    return {
        "limits": {one.name: one.limits(model) for one in numbers},
        "choices": {one.name: one.offered(model) for one in chosen},
    }


def _controls() -> list[tuple[RequestField, Control]]:
    return [(one, one.control) for one in FIELDS if one.control]


def _allowed(one: RequestField, model: DiffusionModel | None) -> dict[str, Any]:
    if isinstance(one, Number):
        least, most = one.limits(model or DiffusionModel())
        return {"least": one.write(least), "most": one.write(most)}
    if isinstance(one, Choice) and model:
        return {"choices": tuple(one.offered(model))}
    return {}


FIRST_COUNT = 4
TYPED = tuple(one.name for one in FIELDS if one.is_typed)
# To begin anew: what came along beside the words is away.
NOTHING_BROUGHT = {one.name: one.write(one.default) for one in FIELDS if one.is_brought}


@dataclass(frozen=True, slots=True)
class Composer:
    """The form as it is shown: `values` are strings as typed, `error` the sentence to show.

    `price_each_ucr` is what one image costs as the form stands; None if that can't be said
    (a group without a price, a size that is none). `lost_style` says that the model has no
    such style as the image had whose settings these are.
    """

    models: list[DiffusionModel]
    model: DiffusionModel | None
    prices: Prices
    values: dict[str, str]
    error: DarkroomError | None = None
    lost_style: str = ""
    counts: list[str] = field(default_factory=lambda: [str(n + 1) for n in range(MAX_COUNT)])

    @property
    def controls(self) -> list[ShownControl]:
        """Those of the settings below "Advanced"."""
        return show_controls(self.values, model=self.model)

    @property
    def brought(self) -> dict[str, tuple[str, str]]:
        """What comes along beside the words, by the field's name: its value, and the value that
        says that nothing comes along."""
        return {
            name: (self.values.get(name) or none, none) for name, none in NOTHING_BROUGHT.items()
        }

    @property
    def usual_strengths(self) -> str:
        """Mode -> the strength that it has if nobody says otherwise, as JSON."""
        return json.dumps(DEFAULT_STRENGTH)

    @property
    def styles(self) -> list[Style]:
        """Those that the model offers, None first: its own if it learned some, else ours."""
        return offered_styles(self.model)

    @property
    def chosen_style(self) -> str:
        """The slug of the one that is chosen; None's if the model does not offer what was."""
        return style_or_none(self.values.get("style", PLAIN), model=self.model)

    @property
    def sizes(self) -> str:
        """The sizes that the model names, in words; "" if its limits alone decide."""
        sizes = offered_sizes(self.model) if self.model else ()
        return list_sizes(sizes) if sizes else ""

    @property
    def size_count(self) -> int:
        """How many sizes the model names; 0 if its limits alone decide."""
        return len(offered_sizes(self.model)) if self.model else 0

    @property
    def knows(self) -> str:
        """How much the model knows, in a sentence; "" if it carries no vocabulary."""
        return count_sentence(self.model)

    @property
    def follows(self) -> str:
        """What it makes of negative prompts, in a sentence; "" if it says nothing of them."""
        return follows_sentence(self.model)

    @property
    def wrong_field(self) -> str:
        """The name of the field that the error is about; "" if it is about none of them."""
        named = self.error.field if isinstance(self.error, InvalidInput) else ""
        return named if named in {*TYPED, "model"} else ""

    @property
    def price_each_ucr(self) -> int | None:
        """See the class: micro-credits."""
        if self.model is None or self.prices.problem:
            return None
        values = {**model_values(self.model), **{k: v for k, v in self.values.items() if v}}
        try:
            width_px, height_px, steps = (
                read_whole(values[name]) for name in ("width", "height", "steps")
            )
        except ValueError:
            return None
        sides_fit = all(0 < side_px <= self.model.max_side_px for side_px in (width_px, height_px))
        if not sides_fit or not 0 < steps <= self.model.max_steps:
            return None
        size = {"width_px": width_px, "height_px": height_px, "steps": steps}
        return self.prices.quote(model=self.model, **size).price_each_ucr


def blank_composer(*, owner: User) -> Composer:
    """The form on an ordinary visit: the first model on offer and what it is good at."""
    models = list(list_offered_models(user=owner))
    model = models[0] if models else None
    values = usual_values(model) | {"count": str(FIRST_COUNT)}
    return Composer(models, model, read_prices(user=owner), values)


def composer_of_prompt(image: Image, *, owner: User) -> Composer:
    """The form of an ordinary visit with the words that this image was made with."""
    composer = blank_composer(owner=owner)
    words = {name: image_values(image)[name] for name in ("prompt", "negative_prompt")}
    return replace(composer, values=composer.values | words)


def composer_of_image(image: Image, *, owner: User) -> Composer:
    """The form filled with everything that this image was made with, its seed included."""
    models = list(list_offered_models(user=owner))
    first = models[0] if models else None
    model = next((one for one in models if one.pk == image.generation.model_id), first)
    values = image_values(image)
    values |= {"count": str(FIRST_COUNT), **_size_for(model, values)}
    lost = _lost_style(image.generation, model)
    return Composer(models, model, read_prices(user=owner), values, lost_style=lost)


def _size_for(model: DiffusionModel | None, values: Mapping[str, str]) -> dict[str, str]:
    """The model's usual size, if it draws that of the values no more."""
    sizes = offered_sizes(model) if model else ()
    drawn = {(str(width_px), str(height_px)) for width_px, height_px in sizes}
    if not sizes or (values["width"], values["height"]) in drawn:
        return {}
    usual = model_values(model)
    return {name: usual[name] for name in ("width", "height")}


def _lost_style(asked: Generation, model: DiffusionModel | None) -> str:
    if model is None or style_or_none(asked.style, model=model) == asked.style:
        return ""
    facts = {"model": model.name, "style": style_name(asked.style, model=asked.model)}
    return STYLE_GONE.format(**facts)


def composer_of_start(image: Image, *, owner: User) -> Composer:
    """The form for an image made of this one: its words and settings, but another seed (the same
    noise over the image that it made shows), and the image itself where its script puts it. If
    its model draws from text alone, the first that takes a start image is chosen, with its usual
    settings; if none does, the form says so."""
    composer = composer_of_image(image, owner=owner)
    composer = replace(composer, values={**composer.values, **NOTHING_BROUGHT, "seed": ""})
    if composer.model is None or composer.model.takes_start_image:
        return composer
    model = next((one for one in composer.models if one.takes_start_image), None)
    if model is None:
        sentence = _("None of the models on offer takes a start image.")
        return replace(composer, error=InvalidInput(sentence, field="model"))
    return replace(composer, model=model, values=composer.values | model_values(model))


def composer_of_attempt(data: Mapping[str, Any], error: DarkroomError, *, owner: User) -> Composer:
    """The form as it was sent, with the sentence that refused it."""
    models = list(list_offered_models(user=owner))
    first = models[0] if models else None
    model = next((one for one in models if one.slug == data.get("model")), first)
    values = {name: str(data.get(name, "")) for name in TYPED}
    return Composer(models, model, read_prices(user=owner), values, error)


def composer_context(composer: Composer, *, owner: User) -> dict[str, Any]:
    """What the page's template and its script need beside the feed: the form as it is shown, and
    the facts, styles, LoRAs and ideas of every model on offer."""
    return {
        "composer": composer,
        "price_each_ucr": composer.price_each_ucr,
        "model_facts": _model_facts(composer, owner),
        "sampler_facts": spacing_facts(),
        "page_styles": page_styles(composer.models),
        "ideas": page_ideas(composer.models),
        "first_ideas": first_ideas(composer.model),
    }


def _model_facts(composer: Composer, owner: User) -> dict[str, dict[str, Any]]:
    """What the page's script needs to know of each model, by slug; `price_ucr` is None if
    the server has to be asked (metered), or there is no price."""
    loras = list(list_loras_for(user=owner))
    return {
        model.slug: {
            "summary": model.summary or _("Installed by this studio"),
            "values": model_values(model),
            "uses_negative_prompt": model.uses_negative_prompt,
            "takes_start_image": model.takes_start_image,
            "min_side_px": model.min_side_px,
            "max_side_px": model.max_side_px,
            "max_pixels": model.max_pixels,
            "side_multiple_px": model.side_multiple_px,
            **control_facts(model),
            "sizes": offered_sizes(model),
            "knows": count_sentence(model),
            "follows": follows_sentence(model),
            "is_metered": composer.prices.terms_of(model).is_metered,
            "price_ucr": _flat_price(composer.prices, model),
            "start_levels": start_levels(model),
            "loras": [_lora_facts(lora) for lora in loras if lora.fits(model)],
        }
        for model in composer.models
    }


def _lora_facts(lora: Lora) -> dict[str, str]:
    return {
        "slug": lora.slug,
        "name": lora.name,
        "summary": lora.summary,
        "words": lora.trigger_words,
        "weight": f"{lora.weight:g}",
        "tag": lora.tag,
    }


def _flat_price(prices: Prices, model: DiffusionModel) -> int | None:
    if prices.problem or prices.terms_of(model).is_metered:
        return None
    size = {"width_px": model.width_px, "height_px": model.height_px, "steps": model.steps}
    return prices.quote(model=model, **size).price_each_ucr
