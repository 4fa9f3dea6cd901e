"""How a drawing fails: errors of the bridge's own, and what becomes of any of them."""

from webapp.generation.queueing import services
from webapp.generation.queueing.claims import Claim
from worker.engine.errors import EngineError, InvalidRequest, LoraUnavailable, OutOfMemory
from worker.start_images import StorageFailed

# None of these is a fault of the model.
NO_FAULT_OF_THE_MODEL = (InvalidRequest, LoraUnavailable, OutOfMemory, StorageFailed)


class Withheld(EngineError):
    """The model's own safety checker replaced the image."""

    code = "withheld"
    default_sentence = "The model's safety checker withheld this image."


def report_failure(claim: Claim, error: EngineError) -> None:
    """Fails the image with the error's sentence, gives the credits back, and tells administrators
    if it is the model's."""
    services.fail_image(
        image_id=claim.image_id,
        lease_token=claim.lease_token,
        code=error.code,
        sentence=error.sentence,
    )
    if not isinstance(error, (Withheld, *NO_FAULT_OF_THE_MODEL)):
        services.report_problem(
            model=claim.model, code=error.code, sentence=error.sentence, detail=error.detail
        )
