"""What a request brings along beside its words: a start picture, a mask, how much may change.

mode      start   mask   strength        size
text      -       -      -               as asked for
image     yes     -      0.6 if not said as asked for: the start picture is cropped to its shape
inpaint   yes     yes    1.0             the same; the mask has the start picture's size
upscale   yes     -      0.35            twice the start picture's, on the model's grid
"""

from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.generation.models import Upload
from webapp.generation.request.spec import GenerationSpec, Mode
from webapp.generation.request.vocabulary_checks import check_named_size

TIMES_LARGER = 2


def check_mode(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    """None where what comes along belongs to the mode, and the mode is one of the model's; raises
    InvalidInput otherwise."""
    if spec.start_id and spec.mode == Mode.TEXT:
        sentence = _("A start image is given, but not what to do with it: say the mode.")
        raise InvalidInput(sentence, field="mode")
    if spec.mask_id and spec.mode != Mode.INPAINT:
        raise InvalidInput(_("A mask belongs to repainting, and only to it."), field="mask")
    if spec.mode != Mode.TEXT and not spec.start_id:
        raise InvalidInput(_("Add a start image."), field="start")
    if spec.mode == Mode.INPAINT and not spec.mask_id:
        raise InvalidInput(_("Paint over what is to be drawn anew."), field="mask")
    check_begins_with_image(model, mode=spec.mode)
    if spec.strength is not None:
        check_steps_left(steps=spec.steps, strength=spec.strength)


def check_begins_with_image(model: DiffusionModel, *, mode: str) -> None:
    """None for a mode that the model's architecture has; raises InvalidInput otherwise."""
    if mode not in model.architecture.modes:
        sentence = _("%(model)s draws from words alone: it takes no start image and no mask.")
        raise InvalidInput(sentence % {"model": model.name}, field="start")


def check_steps_left(*, steps: int, strength: float) -> None:
    """None where the strength leaves a step to draw, reckoned as diffusers does; raises
    InvalidInput otherwise."""
    if int(steps * strength) < 1:
        sentence = _(
            "A strength of %(strength)g leaves none of the %(steps)d steps to draw: raise either."
        )
        facts = {"strength": strength, "steps": steps}
        raise InvalidInput(sentence % facts, field="strength")


def check_pictures(
    spec: GenerationSpec, *, model: DiffusionModel, start: Upload, mask: Upload | None
) -> None:
    """None where the pictures suit the request and each other; raises InvalidInput otherwise."""
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
            sentence = _("Enlarged, this image has %(width)d × %(height)d pixels.")
            facts = {"width": size[0], "height": size[1]}
            raise InvalidInput(sentence % facts, field="width")


def enlarged_size(model: DiffusionModel, *, width_px: int, height_px: int) -> tuple[int, int]:
    """Twice the size, rounded to the model's grid. Raises InvalidInput, which names the size and
    what the model can draw, where it cannot draw that, or begins with no image at all."""
    check_begins_with_image(model, mode=Mode.UPSCALE)
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
    check_named_size(model, width_px=width, height_px=height, field="start")
    return width, height


def _check_kind(upload: Upload, kind: str, *, field: str) -> None:
    if upload.kind != kind:
        sentence = (
            _("That is a mask, not a start image.")
            if kind == Upload.Kind.START
            else _("That is a start image, not a mask.")
        )
        raise InvalidInput(sentence, field=field)
