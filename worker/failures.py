"""How a drawing fails: errors of the bridge's own, and what becomes of any of them."""

from webapp.generation.queueing import services
from webapp.generation.queueing.claims import Claim
from worker.engine.errors import EngineError, InvalidRequest, OutOfMemory


class Withheld(EngineError):
    """The model's own safety checker replaced the image."""

    code = "withheld"
    default_sentence = "The model's safety checker withheld this image."


def report_failure(claim: Claim, error: EngineError) -> None:
    """Fails the image with the error's sentence, gives the credits back, tells the admins."""
    services.fail_image(
        image_id=claim.image_id,
        lease_token=claim.lease_token,
        code=error.code,
        sentence=error.sentence,
    )
    if not isinstance(error, Withheld | InvalidRequest | OutOfMemory):
        services.report_problem(
            model=claim.model, code=error.code, sentence=error.sentence, detail=error.detail
        )
