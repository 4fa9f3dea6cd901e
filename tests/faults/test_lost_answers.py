"""A commit is durable, and whoever asked for it never hears so: it is done once, and told as it is.

The worker asks again by itself; a person gets 503, and presses again.
"""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from tests.core.fixtures import static_files as static_files
from tests.faults.cutting_proxy import CuttingProxy
from tests.faults.lost_answers import database_behind_proxy
from tests.operations.passwords import give_password
from tests.people import claim, make_model, make_spec, submit
from tests.pipelines.fixtures import tiny_model_dir as tiny_model_dir
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.models import Notice
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import codes, ledger
from webapp.credits.code_text import derive_code, write_code
from webapp.credits.models import CreditRequest, Hold, Transaction
from webapp.credits.requests import ask_for_credits
from webapp.credits.selectors import get_balance
from webapp.generation.models import DiscardedFile, Generation, Image
from webapp.generation.queueing import services, serving
from webapp.operations.audit import find_violations
from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.pipelines.runner import DiffusersRunner
from worker.tasks import Desk

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("valkey_is_empty", "static_files"),
]

CREDIT = UCR_PER_CREDIT
PRICE_UCR = 200_000
START_UCR = 200 * CREDIT
CLAIM = 'UPDATE "generation_queueshare"'
BEGIN = 'SET "attempt" = ("generation_image"."attempt" + 1)'
STORE = "\"state\" = 'stored'"
FAIL = "\"state\" = 'failed'"
GIVE_BACK = "\"state\" = 'queued'"
CANCEL = "\"state\" = 'cancelled'"


@pytest.fixture
def proxy(transactional_db: None) -> Iterator[CuttingProxy]:
    with database_behind_proxy() as running:
        yield running


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(serving, "_served", (0.0, []))
    config = EngineConfig(device="cpu", threads=1, preview_every=2)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    yield Desk(engine, name="this-process", slots=2)
    engine.close()


@pytest.fixture
def tiny(transactional_db: None, tiny_model_dir: Path) -> DiffusionModel:
    return make_model(location=str(tiny_model_dir))


def test_an_image_whose_commit_was_not_answered_is_stored_and_keeps_its_files(
    alice: User, tiny: DiffusionModel, desk: Desk, proxy: CuttingProxy
) -> None:
    submit(alice, tiny)
    proxy.arm(text=STORE)
    desk.answer()
    proxy.wait_until_cut()
    image = Image.objects.get()
    assert (image.state, image.attempt) == ("stored", 1)
    assert all(default_storage.exists(name) for name in (image.file, image.thumbnail, image.strip))
    assert get_balance(user=alice).posted_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


def test_a_failure_whose_commit_was_not_answered_is_one_failure(
    alice: User, desk: Desk, proxy: CuttingProxy
) -> None:
    submit(alice, make_model("missing"))
    proxy.arm(text=FAIL)
    desk.answer()
    proxy.wait_until_cut()
    assert Image.objects.get().failure_code == "model_unavailable"
    assert Hold.objects.get().state == "released"
    assert Notice.objects.get().times == 1
    assert not list(find_violations())


@pytest.mark.parametrize("again", ["still queued", "claimed by another"])
def test_who_gives_an_image_back_hears_that_they_did_when_asking_again(
    again: str, alice: User, offered_model: DiffusionModel, desk: Desk, proxy: CuttingProxy
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model, begin=True)
    proxy.arm(text=GIVE_BACK)
    answers: list[bool] = []

    def give_back() -> None:
        if proxy.cuts and again == "claimed by another":
            claim(offered_model, "another", begin=True)
        answers.append(services.give_back_image(claim=claimed))

    desk.patience.patiently(give_back)
    image = Image.objects.get()
    assert proxy.cuts == 1
    assert answers == [True]
    assert image.attempt == (0 if again == "still queued" else 1)
    assert not list(find_violations())


@pytest.mark.parametrize("text", [CLAIM, BEGIN])
def test_a_claim_or_a_beginning_that_was_not_answered_costs_no_attempt_and_no_image(
    text: str, alice: User, tiny: DiffusionModel, desk: Desk, proxy: CuttingProxy
) -> None:
    """A claim that nobody knows of waits for its lease to end; the other image is drawn."""
    submit(alice, tiny, count=2)
    proxy.arm(text=text)
    desk.answer()
    desk.answer()
    proxy.wait_until_cut()
    claimed = Image.objects.exclude(state="stored")
    assert [image.attempt for image in claimed] == [0] * len(claimed)
    assert {image.attempt for image in Image.objects.filter(state="stored")} == {1}
    assert len(claimed) == (text == CLAIM)
    assert not list(find_violations())


def press_twice(
    proxy: CuttingProxy, text: str, client: Client, address: str, form: dict[str, str]
) -> list[int]:
    """The statuses of a form whose first commit is not answered, and of the same form again."""
    proxy.arm(text=text)
    first = client.post(address, form)
    proxy.wait_until_cut()
    return [first.status_code, client.post(address, form).status_code]


def test_a_request_sent_again_is_the_one_that_was_made(
    client: Client, alice: User, offered_model: DiffusionModel, proxy: CuttingProxy
) -> None:
    spec = make_spec()
    form = {
        "model": offered_model.slug,
        "prompt": spec.prompt,
        "width_px": "64",
        "height_px": "64",
        "steps": "4",
        "guidance_scale": "5",
        "sampler": "ddim",
        "count": "2",
        "idempotency_key": uuid.uuid4().hex,
        "quoted_each_ucr": "200000",
    }
    client.force_login(alice)
    text = 'INSERT INTO "generation_generation"'
    assert press_twice(proxy, text, client, "/generations/", form) == [503, 302]
    assert Generation.objects.count() == 1
    assert get_balance(user=alice).held_ucr == 2 * PRICE_UCR
    assert not list(find_violations())


def test_a_cancellation_sent_again_finds_it_done(
    client: Client, alice: User, offered_model: DiffusionModel, proxy: CuttingProxy
) -> None:
    image = submit(alice, offered_model).images.get()
    client.force_login(alice)
    statuses = press_twice(proxy, CANCEL, client, f"/images/{image.pk}/cancellation/", {})
    assert statuses == [503, 302]
    assert Image.objects.get().state == "cancelled"
    assert get_balance(user=alice).available_ucr == START_UCR
    assert not list(find_violations())


def test_a_code_redeemed_again_says_that_it_was_redeemed(
    client: Client, alice: User, charlie: User, proxy: CuttingProxy
) -> None:
    batch = codes.create_batch(
        batch_id=uuid.uuid4(), actor=charlie, name="fair", amount_ucr=5 * CREDIT, count=1
    )
    form = {"code": write_code(derive_code(batch_id=batch.pk, number=1))}
    client.force_login(alice)
    text = 'INSERT INTO "credits_codeuse"'
    assert press_twice(proxy, text, client, "/credits/redeem/", form) == [503, 409]
    assert (
        "You have redeemed this code already."
        in client.post("/credits/redeem/", form).content.decode()
    )
    assert get_balance(user=alice).posted_ucr == START_UCR + 5 * CREDIT
    assert not list(find_violations())


def top_up(alice: User, charlie: User) -> tuple[str, dict[str, str], int]:
    form = {"amount": "5", "reason": "prize", "key": str(uuid.uuid4())}
    return f"/admin/accounts/user/{alice.pk}/credits/", form, START_UCR + 5 * CREDIT


def undo(alice: User, charlie: User) -> tuple[str, dict[str, str], int]:
    posted = ledger.top_up(
        user=alice, amount_ucr=5 * CREDIT, actor=charlie, reason="prize", key="one"
    )
    form = {"reason": "a mistake"}
    return f"/admin/credits/transaction/{posted.pk}/undo/", form, START_UCR


def approve(alice: User, charlie: User) -> tuple[str, dict[str, str], int]:
    asked = ask_for_credits(user=alice, amount_ucr=40 * CREDIT, reason="a poster")
    return f"/admin/credits/creditrequest/{asked.pk}/approval/", {}, START_UCR + 40 * CREDIT


@pytest.mark.parametrize("door", [top_up, undo, approve])
def test_an_administrators_booking_sent_again_is_booked_once(
    door: Callable[[User, User], tuple[str, dict[str, str], int]],
    client: Client,
    alice: User,
    charlie: User,
    proxy: CuttingProxy,
) -> None:
    address, form, balance_ucr = door(alice, charlie)
    before = Transaction.objects.count()
    client.force_login(charlie)
    give_password(client)
    first, again = press_twice(proxy, "INSERT INTO credits_transaction", client, address, form)
    assert first == 503
    assert again in {302, 400}  # done now, or a page that says it was done before
    assert Transaction.objects.count() == before + 1
    assert get_balance(user=alice).posted_ucr == balance_ucr
    assert not CreditRequest.objects.filter(state="open").exists()
    assert not list(find_violations())


def test_the_files_of_an_attempt_that_failed_are_swept(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    ask = {"image_id": claimed.image_id, "lease_token": claimed.lease_token}
    assert services.fail_image(**ask, code="engine_error", sentence="")
    assert services.fail_image(**ask, code="engine_error", sentence="")
    assert DiscardedFile.objects.count() == 3
