"""Why an image failed, in the language of whoever reads it."""

import pytest
from django.test import Client
from django.utils import translation

from tests.core.fixtures import static_files
from tests.people import claim, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.failures import BY_CODE, tell_failure
from webapp.generation.queueing import services
from worker.engine.errors import Cancelled, EngineError, EngineStopped
from worker.failures import Withheld
from worker.pipelines.devices import DeviceUnavailable
from worker.start_images import StartImageLost

__all__ = ["static_files"]
# Their images are drawn again or were cancelled: they fail none.
NO_FAILURES = (Cancelled, EngineStopped)

OWN = "This model draws at most 1024 pixels a side."


def test_english_readers_hear_the_workers_own_sentence() -> None:
    assert tell_failure(code="invalid_request", sentence=OWN) == OWN


def test_others_hear_what_the_code_means() -> None:
    with translation.override("ko"):
        told = tell_failure(code="invalid_request", sentence=OWN)
        assert told == translation.gettext("The request is not valid for this model.") != OWN


def test_a_code_that_nobody_knows_has_a_sentence_too() -> None:
    assert tell_failure(code="made_up", sentence="") == "This image could not be finished."


def kinds_of(kind: type[EngineError]) -> list[type[EngineError]]:
    """`kind` and all that are made from it, but for those that fail no image."""
    below = [one for child in kind.__subclasses__() for one in kinds_of(child)]
    return [one for one in (kind, *below) if not issubclass(one, NO_FAILURES)]


def test_the_kinds_are_those_that_workers_raise() -> None:
    assert {Withheld, StartImageLost, DeviceUnavailable} <= set(kinds_of(EngineError))


@pytest.mark.parametrize("kind", kinds_of(EngineError))
def test_every_failure_of_a_worker_can_be_told(kind: type[EngineError]) -> None:
    with translation.override("en"):
        assert str(BY_CODE[kind.code]) == kind.default_sentence


def test_the_page_of_a_failed_picture_is_all_in_its_readers_language(
    client: Client, alice: User, offered_model: DiffusionModel, static_files: None
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    services.fail_image(
        image_id=claimed.image_id,
        lease_token=claimed.lease_token,
        code="out_of_memory",
        sentence="The image is too large for the memory of this device.",
    )
    client.force_login(alice)
    page = client.get("/", headers={"accept-language": "ko"}).content.decode()
    assert "이 장치의 메모리" in page
    assert "too large for the memory" not in page
