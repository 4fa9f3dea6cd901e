"""How a drawing fails: errors of the bridge's own, and what becomes of any of them."""

from webapp.generation.queueing import services
from webapp.generation.queueing.claims import Claim
from worker.engine.errors import EngineError, InvalidRequest, ModelUnavailable, OutOfMemory
from worker.start_pictures import StartPictureLost

FAILURE_CODES: dict[type[EngineError], str] = {
    InvalidRequest: "invalid_request",
    ModelUnavailable: "model_unavailable",
    OutOfMemory: "out_of_memory",
    StartPictureLost: "start_picture_lost",
}


class Withheld(EngineError):
    """The model's own safety checker replaced the image."""

    default_sentence = "The model's safety checker withheld this image."


def report_failure(claim: Claim, error: EngineError) -> None:
    """Fails the image with the error's sentence, gives the credits back, tells the admins."""
    code = FAILURE_CODES.get(type(error), type(error).__name__.lower())
    services.fail_image(
        image_id=claim.image_id,
        lease_token=claim.lease_token,
        code=code,
        sentence=error.sentence,
    )
    if not isinstance(error, Withheld | InvalidRequest | OutOfMemory):
        services.report_problem(
            model=claim.model, code=code, sentence=error.sentence, detail=error.detail
        )
