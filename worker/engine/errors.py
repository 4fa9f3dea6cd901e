"""What can go wrong while an image is made.

EngineError                 anything unexpected; the cause is chained
├── InvalidRequest          the request itself can never work; do not retry
├── ModelUnavailable        the model's files are missing, broken or refused
├── OutOfMemory             the device had no room for this image
├── Overflowed              the model's numbers ran over: they are no image
├── BlackImage              all of the image is black, as what ran over looks if nobody noticed
├── Cancelled               somebody called `Engine.cancel`
└── EngineStopped           the engine is draining or closed; another worker may retry
    └── EngineFailed        an error ended it while it held the request; it may be the reason
        └── DeviceLost      the device answers this process no more; another process may retry
"""


class EngineError(Exception):
    """An image could not be made.

    `code` names the kind in the image's record, for whoever tells it in another language.
    `sentence` is safe to show to the person who asked. `detail` is for admins and logs only: it
    may hold paths and library messages.
    """

    code = "engine_error"
    default_sentence = "The image could not be made because of an unexpected error."

    def __init__(self, sentence: str | None = None, *, detail: str = "") -> None:
        self.sentence = sentence or self.default_sentence
        self.detail = detail
        super().__init__(self.sentence)

    def __str__(self) -> str:
        return f"{self.sentence} ({self.detail})" if self.detail else self.sentence


class InvalidRequest(EngineError):
    """The request contradicts itself or the model; trying again cannot help."""

    code = "invalid_request"
    default_sentence = "The request is not valid for this model."


class ModelUnavailable(EngineError):
    """The model's files are missing, broken or of a kind that is not opened."""

    code = "model_unavailable"
    default_sentence = "The model is not available."


class LoraUnavailable(ModelUnavailable):
    """The file of a LoRA is missing, broken, of a kind that is not supported, or not for this
    model; nothing is wrong with the model."""

    code = "lora_unavailable"
    default_sentence = "A LoRA that this image was to be drawn with is not available."


class OutOfMemory(EngineError):
    """The device ran out of memory; a smaller image may work."""

    code = "out_of_memory"
    default_sentence = "The image is too large for the memory of this device."


class Overflowed(EngineError):
    """The model produced numbers that are none, or too large for their format."""

    code = "overflowed"
    default_sentence = "The model produced numbers that are not an image."


class BlackImage(EngineError):
    """Every byte of the image is 0. Half precision that ran over looks so when something between
    has made zeros of it. A black square that a model did draw does not: what a VAE makes of it
    scatters about black, so that of the thousands of its pixels some are 1 or 2."""

    code = "black_image"
    default_sentence = "The image came out entirely black, so it was not kept."


class Cancelled(EngineError):
    """The request was cancelled before it was finished."""

    default_sentence = "The image was cancelled."


class EngineStopped(EngineError):
    """The engine is shutting down and did not finish this request."""

    default_sentence = "The worker is shutting down."


class EngineFailed(EngineStopped):
    """An error ended the engine while it held this request, which may be what brought it about."""

    default_sentence = "The worker's engine ended because of an unexpected error."


class DeviceLost(EngineFailed):
    """The device stopped working for this process: nothing more can be drawn in it."""

    default_sentence = "The worker's device stopped working."
