"""The receipt of an image: how its price came about, and what became of the credits."""

from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, PriceList
from webapp.credits import ledger
from webapp.generation.models import Generation, Image
from webapp.generation.queueing import services
from webapp.statements.receipt import read_receipt

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]
METERED = {
    "mode": "metered",
    "factor": "0.00000216",
    "floor_ucr": 50_000,
    "multiplier": "0.5",
    "group": "Friends",
    "width_px": 512,
    "height_px": 768,
    "steps": 30,
}


@pytest.fixture
def drawn(alice: User, offered_model: DiffusionModel) -> Image:
    image = submit(alice, offered_model).images.get()
    assert finish(claim(offered_model))
    image.refresh_from_db()
    return image


def page_of(client: Client, image: Image) -> str:
    """The receipt on the image's page."""
    page = client.get(f"/images/{image.pk}/").content.decode()
    return page.split('id="receipt"')[1].split("</section>")[0]


def test_a_finished_picture_says_what_was_held_and_charged(as_alice: Client, drawn: Image) -> None:
    page = page_of(as_alice, drawn)
    for words in ("quoted", "held", "0.20", "charged", "−0.20", "worker-1", "CPU", "generating"):
        assert words in page
    assert "0.20 an image, any size and steps" in page
    assert f'href="/credits/?image={drawn.pk}#lines"' in page
    assert "not charged" not in page


def test_a_picture_on_its_way_is_not_charged_yet(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    page = page_of(as_alice, submit(alice, offered_model).images.get())
    assert "not yet" in page
    assert "waited" not in page


def test_a_cancelled_and_a_failed_picture_were_not_charged(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    cancelled = submit(alice, offered_model).images.get()
    services.cancel_image(owner=alice, image_id=cancelled.pk)
    failed = submit(alice, offered_model).images.get()
    services.fail_image(
        image_id=failed.pk,
        lease_token=claim(offered_model).lease_token,
        code="out_of_memory",
        sentence="The model ran out of memory.",
    )
    for image in (cancelled, failed):
        page = page_of(as_alice, image)
        assert "released" in page
        assert "not charged" in page
        assert "−" not in page


def test_a_refund_stands_on_the_receipt_with_its_reason(
    as_alice: Client, charlie: User, drawn: Image
) -> None:
    ledger.refund_image(image_id=drawn.pk, actor=charlie, reason="a smudge")
    page = page_of(as_alice, drawn)
    for words in ("−0.20", "refund", "+0.20", "a smudge"):
        assert words in page
    assert "charlie" not in page


def test_the_terms_are_said_as_they_were_quoted(as_alice: Client, drawn: Image) -> None:
    version = PriceList.objects.create(flat_ucr=200_000)
    Generation.objects.update(price_terms=METERED, price_list=version)
    page = page_of(as_alice, drawn)
    assert "by size and steps: 512 × 768, 30 steps, at least 0.05" in page
    assert "times 0.5 for the group Friends" in page
    assert f"price list {version.pk} of" in page


def test_a_picture_from_before_there_were_terms_has_its_price_alone(drawn: Image) -> None:
    Generation.objects.update(price_terms={})
    quoted = read_receipt(image=Image.objects.get()).quoted
    assert (quoted.price_ucr, quoted.terms, quoted.price_list) == (200_000, [], None)


def test_a_free_picture_holds_nothing(
    as_alice: Client, alice: User, offered_model: DiffusionModel, settings: LazySettings
) -> None:
    settings.PRICE_PER_IMAGE = Decimal(0)
    page = page_of(as_alice, submit(alice, offered_model).images.get())
    assert "free" in page
    assert "held" not in page
    assert "in your statement" not in page


def test_what_a_picture_shared_and_where_it_was_drawn_is_told(
    as_alice: Client, drawn: Image
) -> None:
    Image.objects.update(
        batch={"rows_mean": 2.5, "rows_most": 4},
        fingerprint={"device": "cuda", "gpu": "NVIDIA H200"},
        timings_s={"queue_s": 1.25, "denoise_s": 2.0, "load_s": 0.0},
    )
    page = page_of(as_alice, drawn)
    for words in ("NVIDIA H200", "2.5 on average, at most 4", "1.25 s", "in the queue"):
        assert words in page
    assert "loading the model" not in page


def test_a_picture_drawn_alone_shared_nothing(as_alice: Client, drawn: Image) -> None:
    Image.objects.update(batch={"rows_mean": 1.0, "rows_most": 1}, fingerprint={})
    page = page_of(as_alice, drawn)
    assert "shared" not in page
    assert "device" not in page


def test_a_receipt_costs_three_queries(charlie: User, drawn: Image) -> None:
    ledger.refund_image(image_id=drawn.pk, actor=charlie, reason="a smudge")
    version = PriceList.objects.create(flat_ucr=200_000)
    Generation.objects.update(price_list=version)
    image = Image.objects.select_related("generation").get()
    with CaptureQueriesContext(connection) as queries:
        receipt = read_receipt(image=image)
        assert [line.transaction.reason for line in receipt.given_back] == ["a smudge"]
    assert len(queries) == 3


def test_strangers_see_no_receipt(client: Client, bob: User, drawn: Image) -> None:
    client.force_login(bob)
    assert client.get(f"/images/{drawn.pk}/").status_code == 404
