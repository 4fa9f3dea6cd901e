"""What may be asked for, by fields that have to agree and by what the model can do. Everything is
checked here, and nothing is clamped in silence: whoever asks is told before anything is held or
charged.

What a request brings along beside its words:

mode      start   mask   strength        size
text      -       -      -               as asked for
image     yes     -      0.6 if not said as asked for: the start image is cropped to its shape
inpaint   yes     yes    1.0             the same; the mask has the start image's size
upscale   yes     -      0.35            twice the start image's, on the model's grid

A model with a vocabulary is not asked for styles and sizes that it does not know, nor for words of
which it draws nothing (`catalog.understanding.can_draw`). Words that are unknown beside others that
are known are no reason to refuse: the page has said so.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.understanding import Understanding, can_draw, understand
from webapp.catalog.vocabulary_selectors import lexicon_of, list_sizes, offered_sizes
from webapp.core.errors import InvalidInput
from webapp.generation.models import Image, Upload
from webapp.generation.request.spec import (
    FIELDS,
    GenerationSpec,
    Mode,
    check_fields,
    image_values,
    read_spec,
)

TIMES_LARGER = 2
PRICED_BY = {"width", "height", "steps"}
# Also told by the page's scripts.
START_GONE = gettext_lazy("The start image no longer exists. Add it again.")
NO_STEP_LEFT = gettext_lazy(
    "At this strength none of the {steps} steps is left. Raise the strength or the steps."
)


def parse_spec(data: Mapping[str, Any], *, model: DiffusionModel) -> GenerationSpec:
    """The checked spec of a form or JSON body; fields left out take the model's defaults.

    Raises InvalidInput, which names the field and what is allowed.
    """
    spec = read_spec(data, model=model)
    check_spec(spec, model=model)
    return spec


def parse_priced(data: Mapping[str, Any], *, model: DiffusionModel) -> dict[str, int]:
    """The width, height and steps of a form, on which a price hangs, as `parse_spec` checks them.
    Raises InvalidInput as it does, and for one that is left out."""
    fields = [one for one in FIELDS if one.name in PRICED_BY]
    asked = {one.name: data.get(one.name) or "-" for one in fields}  # "-" is no number
    priced = {one.attribute: one.read(asked, model=model, mode=Mode.TEXT) for one in fields}
    size = {"width_px": priced["width_px"], "height_px": priced["height_px"]}
    _check_named_size(model, **size, field="width")
    for one in fields:
        one.check(priced[one.attribute], model=model, mode=Mode.TEXT)
    _check_pixels(model, **size)
    return priced


def check_spec(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    """None for what the model can draw; raises InvalidInput for the first field that is off."""
    _check_prompts(spec, model=model)
    _check_named_size(model, width_px=spec.width_px, height_px=spec.height_px, field="width")
    check_fields(spec, model=model)
    _check_pixels(model, width_px=spec.width_px, height_px=spec.height_px)
    _check_mode(spec, model=model)
    _check_words(spec, model=model)


def hold_images(*, owner: User, model: DiffusionModel, spec: GenerationSpec) -> None:
    """None if the images that the spec names are the owner's and suit it; raises InvalidInput
    otherwise. The sweeper can't take them until the caller's transaction ends."""
    ids = [one for one in (spec.start_id, spec.mask_id) if one]
    mine = Upload.objects.select_for_update(no_key=True).filter(owner=owner, pk__in=ids)
    found = {upload.pk: upload for upload in mine.order_by("pk")} if ids else {}
    if spec.start_id and spec.start_id not in found:
        raise InvalidInput(START_GONE, field="start")
    if spec.mask_id and spec.mask_id not in found:
        raise InvalidInput(_("The mask no longer exists. Paint it again."), field="mask")
    if spec.start_id:
        mask = found[spec.mask_id] if spec.mask_id else None
        _check_start(spec, model=model, start=found[spec.start_id], mask=mask)
    _hold_parent(owner, spec)


def enlarged_size(model: DiffusionModel, *, width_px: int, height_px: int) -> tuple[int, int]:
    """Twice the size, rounded to the model's grid. Raises InvalidInput, which names the size and
    what the model can draw, if it cannot draw that, or begins with no image at all."""
    _check_begins_with_image(model, mode=Mode.UPSCALE)
    grid = model.side_multiple_px
    width, height = (
        grid * max(1, round(TIMES_LARGER * side_px / grid)) for side_px in (width_px, height_px)
    )
    sides_fit = all(model.min_side_px <= side <= model.max_side_px for side in (width, height))
    if not sides_fit or width * height > model.max_pixels:
        sentence = _(
            "Twice the size is %(width)d × %(height)d pixels. %(model)s draws sides from"
            " %(least)d to %(most)d and at most %(pixels)d pixels in all."
        )
        facts = {
            "width": width,
            "height": height,
            "model": model.name,
            "least": model.min_side_px,
            "most": model.max_side_px,
            "pixels": model.max_pixels,
        }
        raise InvalidInput(sentence % facts, field="start")
    _check_named_size(model, width_px=width, height_px=height, field="start")
    return width, height


def parse_enlargement(
    image: Image, *, model: DiffusionModel, start: Upload | Image
) -> GenerationSpec:
    """The checked spec that draws the image at twice the size of its start image, with everything
    that it was made with. Raises InvalidInput as `parse_spec` and `enlarged_size` do."""
    of = start.generation if isinstance(start, Image) else start
    width_px, height_px = enlarged_size(model, width_px=of.width_px, height_px=of.height_px)
    asked = image_values(image) | {
        "mode": Mode.UPSCALE,
        "start": start.pk,
        "mask": "",
        "strength": "",
        "parent": image.pk,
        "width": width_px,
        "height": height_px,
        "count": 1,
    }
    return parse_spec(asked, model=model)


def check_steps_left(*, steps: int, strength: float) -> None:
    """None if the strength leaves a step to draw, reckoned as diffusers does; raises
    InvalidInput otherwise."""
    if int(steps * strength) < 1:
        raise InvalidInput(NO_STEP_LEFT.format(steps=steps), field="strength")


def _check_prompts(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    if not spec.prompt.strip():
        raise InvalidInput(_("Write a prompt: say what the image should show."), field="prompt")
    if spec.negative_prompt.strip() and not model.uses_negative_prompt:
        raise InvalidInput(
            _("%(model)s takes no negative prompt: leave that field empty.")
            % {"model": model.name},
            field="negative_prompt",
        )


def _check_pixels(model: DiffusionModel, *, width_px: int, height_px: int) -> None:
    if width_px * height_px > model.max_pixels:
        raise InvalidInput(
            _("%(width)d × %(height)d is more than the %(most)d pixels that %(model)s can draw.")
            % {
                "width": width_px,
                "height": height_px,
                "most": model.max_pixels,
                "model": model.name,
            },
            field="width",
        )


def _check_mode(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    """None if what comes along belongs to the mode, and the mode is one of the model's; raises
    InvalidInput otherwise."""
    if spec.start_id and spec.mode == Mode.TEXT:
        sentence = _("A start image needs a mode that uses it. Choose a mode.")
        raise InvalidInput(sentence, field="mode")
    if spec.mask_id and spec.mode != Mode.INPAINT:
        raise InvalidInput(_("A mask can only be used for inpainting."), field="mask")
    if spec.mode != Mode.TEXT and not spec.start_id:
        raise InvalidInput(_("Add a start image."), field="start")
    if spec.mode == Mode.INPAINT and not spec.mask_id:
        raise InvalidInput(_("Paint over what should be redrawn."), field="mask")
    _check_begins_with_image(model, mode=spec.mode)
    if spec.strength is not None:
        check_steps_left(steps=spec.steps, strength=spec.strength)


def _check_begins_with_image(model: DiffusionModel, *, mode: str) -> None:
    """None for a mode that the model's architecture has; raises InvalidInput otherwise."""
    if mode not in model.architecture.modes:
        sentence = _("%(model)s generates from text only: it takes no start image and no mask.")
        raise InvalidInput(sentence % {"model": model.name}, field="start")


def _check_start(
    spec: GenerationSpec, *, model: DiffusionModel, start: Upload, mask: Upload | None
) -> None:
    """None if the images suit the request and each other; raises InvalidInput otherwise."""
    _check_kind(start, Upload.Kind.START, field="start")
    if mask is not None:
        _check_kind(mask, Upload.Kind.MASK, field="mask")
        if (mask.width_px, mask.height_px) != (start.width_px, start.height_px):
            sentence = _("The mask must have the start image's size, %(width)d × %(height)d.")
            facts = {"width": start.width_px, "height": start.height_px}
            raise InvalidInput(sentence % facts, field="mask")
    if spec.mode == Mode.UPSCALE:
        size = enlarged_size(model, width_px=start.width_px, height_px=start.height_px)
        if size != (spec.width_px, spec.height_px):
            sentence = _("Upscaled, this image would have %(width)d × %(height)d pixels.")
            facts = {"width": size[0], "height": size[1]}
            raise InvalidInput(sentence % facts, field="width")


def _check_kind(upload: Upload, kind: str, *, field: str) -> None:
    if upload.kind != kind:
        sentence = (
            _("That is a mask, not a start image.")
            if kind == Upload.Kind.START
            else _("That is a start image, not a mask.")
        )
        raise InvalidInput(sentence, field=field)


def _hold_parent(owner: User, spec: GenerationSpec) -> None:
    if spec.parent_id is None:
        return
    mine = Image.objects.select_for_update(no_key=True).filter(owner=owner, pk=spec.parent_id)
    if mine.only("pk").first() is None:
        sentence = _("The image that this was made from no longer exists.")
        raise InvalidInput(sentence, field="parent")


def _check_words(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    """None if the model can draw something of the prompt; raises InvalidInput otherwise, see the
    module. Never anything for a model without a vocabulary."""
    lexicon = lexicon_of(model)
    if lexicon is None:
        return
    understood = understand(spec.prompt, lexicon, language=get_language() or "en")
    if not can_draw(understood, mode=spec.mode):
        raise InvalidInput(_nothing_to_draw(understood, model), field="prompt")


def _check_named_size(model: DiffusionModel, *, width_px: int, height_px: int, field: str) -> None:
    """None for a size that the model names, and for a model that names none; raises InvalidInput
    with those that it does."""
    sizes = offered_sizes(model)
    if sizes and (width_px, height_px) not in sizes:
        sentence = _("%(model)s draws %(sizes)s pixels; %(width)d × %(height)d is not among them.")
        facts = {"model": model.name, "width": width_px, "height": height_px}
        raise InvalidInput(sentence % (facts | {"sizes": list_sizes(sizes)}), field=field)


def _nothing_to_draw(understood: Understanding, model: DiffusionModel) -> str:
    offers = list(dict.fromkeys(near for word in understood.unknown for near in word.near))
    if not offers:
        sentence = _("%(model)s can't draw any of this. Use a word that it knows.")
        return sentence % {"model": model.name}
    sentence = _("%(model)s can't draw any of this. Similar words that it knows: %(offers)s.")
    return sentence % {"model": model.name, "offers": ", ".join(offers[:6])}
