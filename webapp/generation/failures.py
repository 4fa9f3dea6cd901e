"""Why images failed, in the language of whoever reads it."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

STORAGE_FAILED: Final = _(
    "The image could not be saved: the studio's storage is full or not available."
)
# A worker tells its sentence in English; whoever reads another language gets the code's own.
BY_CODE: Final[dict[str, Promise]] = {
    "engine_error": _("The image could not be made because of an unexpected error."),
    "overflowed": _("The model produced numbers that are not an image."),
    "black_image": _("The image came out entirely black, so it was not kept."),
    "out_of_memory": _("The image is too large for the memory of this device."),
    "model_unavailable": _("The model is not available."),
    "lora_unavailable": _("A LoRA that this image was to be drawn with is not available."),
    "invalid_request": _("The request is not valid for this model."),
    "start_picture_lost": _("The start image or its mask no longer exists. Add it again."),
    "storage_failed": _("The studio's storage did not answer. Ask for the image again later."),
    # Of images that an earlier version drew: workers wait for their storage now.
    "storagefailed": STORAGE_FAILED,
    "withheld": _("The model's safety checker withheld this image."),
    "file_lost": _("The file of this image was lost. What it cost was given back."),
    "worker_lost": _("The worker stopped three times while drawing this image."),
}
UNKNOWN: Final = _("This image could not be finished.")


def tell_failure(*, code: str, sentence: str) -> str:
    """The worker's own sentence in English; the sentence of its code in every other language."""
    is_english = (get_language() or "en").startswith("en")
    if is_english and sentence:
        return sentence
    return str(BY_CODE.get(code, UNKNOWN))
