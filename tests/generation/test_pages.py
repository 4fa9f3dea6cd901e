"""The studio's doors, as a client sees them."""

import json
import uuid
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from django.conf import LazySettings
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client

from tests.pages import serve_plain_static
from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation import events
from webapp.generation.models import Generation, Image
from webapp.generation.queueing import services
from webapp.generation.request.spec import MAX_PROMPT_LENGTH

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]
JSON = {"Accept": "application/json"}


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def form(offered: DiffusionModel, **changes: Any) -> dict[str, Any]:
    fields = {"model": offered.slug, "prompt": "a fox at dusk", "negative_prompt": "people"}
    return {
        **fields,
        "count": "2",
        "quoted_each_ucr": "200000",
        "idempotency_key": uuid.uuid4().hex,
        **changes,
    }


@pytest.mark.parametrize(
    "path", ["/", "/studio/state/", "/events/", f"/generations/{uuid.UUID(int=7)}/"]
)
def test_a_stranger_is_sent_to_the_sign_in_page(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


def test_a_script_gets_the_new_group(as_alice: Client, offered_model: DiffusionModel) -> None:
    response = as_alice.post("/generations/", form(offered_model), headers=JSON)
    assert response.status_code == 201
    answer = response.json()
    assert Generation.objects.get().pk == uuid.UUID(answer["generation"])
    assert answer["html"].count("data-image=") == 2


def test_a_plain_form_is_sent_back_to_the_studio(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    response = as_alice.post("/generations/", form(offered_model))
    assert (response.status_code, response["Location"]) == (302, "/")
    assert Image.objects.filter(state=Image.State.QUEUED).count() == 2


def test_the_same_key_makes_one_generation(as_alice: Client, offered_model: DiffusionModel) -> None:
    sent = form(offered_model)
    first = as_alice.post("/generations/", sent, headers=JSON).json()
    second = as_alice.post("/generations/", sent, headers=JSON).json()
    assert first["generation"] == second["generation"]
    assert Generation.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * (MAX_PROMPT_LENGTH + 1)}, "prompt"),
        ({"width": "65"}, "width"),
        ({"height": "9999"}, "height"),
        ({"steps": "0"}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"guidance_scale": "31"}, "guidance_scale"),
        ({"count": "11"}, "count"),
        ({"seed": "-1"}, "seed"),
        ({"sampler": "magic"}, "sampler"),
        ({"model": "nobody"}, "model"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_made(
    as_alice: Client, offered_model: DiffusionModel, changes: dict[str, str], field: str
) -> None:
    response = as_alice.post("/generations/", form(offered_model, **changes), headers=JSON)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (400, "invalid_input", field)
    assert error["message"]
    assert not Generation.objects.exists()


def test_a_refused_form_comes_back_as_it_was_typed(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    sent = form(offered_model, prompt="a <b>fox</b>", steps="0", seed="12")
    response = as_alice.post("/generations/", sent)
    page = response.content.decode()
    assert response.status_code == 400
    assert "a &lt;b&gt;fox&lt;/b&gt;" in page
    assert "Steps must be from 1 to 150; 0 is not." in page
    assert 'value="12"' in page


def test_who_cannot_pay_is_told_what_is_lacking(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    alice.account.posted_ucr = 100_000
    alice.account.save()
    response = as_alice.post("/generations/", form(offered_model), headers=JSON)
    assert response.status_code == 402
    assert response.json()["error"] == {
        "code": "not_enough_credits",
        "message": "This needs 0.40 credits; 0.10 are available.",
    }


def test_trying_again_repeats_one_image_with_its_seed(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=3, steps=3)
    image = Image.objects.get(index=2)
    sent = {"again": str(image.pk), "idempotency_key": "again-1", "quoted_each_ucr": "200000"}
    as_alice.post("/generations/", sent, headers=JSON)
    made = Generation.objects.get(idempotency_key="again-1")
    assert (made.seed, made.steps, made.images.count()) == (image.seed, 3, 1)


def test_nobody_repeats_the_image_of_another(
    client: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    client.force_login(bob)
    sent = {
        "again": str(Image.objects.get().pk),
        "idempotency_key": "again-1",
        "quoted_each_ucr": "200000",
    }
    assert client.post("/generations/", sent, headers=JSON).status_code == 404
    assert client.get(f"/?from={Image.objects.get().pk}").status_code == 404


def test_an_id_that_is_none_is_said_to_be_none(as_alice: Client) -> None:
    assert as_alice.get("/?from=7").status_code == 400
    assert as_alice.get("/studio/state/?ids=7").status_code == 400
    assert as_alice.post("/generations/", {"again": "7"}, headers=JSON).status_code == 400


def test_the_feed_asks_the_database_the_same_for_one_group_and_for_many(
    as_alice: Client,
    alice: User,
    offered_model: DiffusionModel,
    django_assert_num_queries: Any,
) -> None:
    submit(alice, offered_model, count=2)
    as_alice.get("/")
    with django_assert_num_queries(9):
        as_alice.get("/")
    for _request in range(5):
        submit(alice, offered_model, count=4)
    with django_assert_num_queries(9):
        as_alice.get("/")


def test_the_state_tells_live_images_those_asked_for_and_the_balance(
    as_alice: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    submit(bob, offered_model)
    theirs = Image.objects.get()
    services.cancel_image(owner=bob, image_id=theirs.pk)
    submit(alice, offered_model, count=2)
    claimed = claim(offered_model)
    assert finish(claimed)
    progress = {"id": str(claim(offered_model).image_id), "step": 2}
    events.publish_progress(user_id=alice.pk, event=progress)
    state = as_alice.get(f"/studio/state/?ids={claimed.image_id},{theirs.pk}").json()
    assert {facts["id"]: facts["state"] for facts in state["images"]} == {
        str(claimed.image_id): "stored",
        progress["id"]: "running",
    }
    assert state["progress"][progress["id"]]["step"] == 2
    assert state["balance"] == {
        "available_ucr": 199_600_000,
        "available": "199.60",
        "held": "0.20",
    }


def test_cancelling_is_the_owners_alone(
    client: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    made = submit(alice, offered_model, count=2)
    image = Image.objects.first()
    assert image is not None
    paths = [f"/generations/{made.pk}/cancellation/", f"/images/{image.pk}/cancellation/"]
    client.force_login(bob)
    assert [client.post(path, headers=JSON).status_code for path in paths] == [404, 404]
    client.force_login(alice)
    answers = [client.post(path, headers=JSON).json() for path in reversed(paths)]
    assert answers == [{"cancelled": 1}, {"cancelled": 1}]
    assert client.post(paths[0])["Location"] == "/"


def test_a_get_changes_nothing(as_alice: Client) -> None:
    for path in ("/generations/", f"/images/{uuid.uuid4()}/cancellation/"):
        assert as_alice.get(path).status_code == 405


def test_a_form_without_its_token_is_refused(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    response = client.post("/generations/", {"prompt": "a fox"}, headers=JSON)
    assert response.status_code == 403


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("valkey_is_empty")
async def test_the_stream_carries_the_owners_news_alone(alice: User, bob: User) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    response = await client.get("/events/")
    assert response["Content-Type"] == "text/event-stream"
    assert "no-cache" in response["Cache-Control"]
    assert response["X-Accel-Buffering"] == "no"
    assert isinstance(response, StreamingHttpResponse)
    frames = cast("AsyncGenerator[bytes]", aiter(response))
    assert b"retry" in await anext(frames)
    assert b"resync" in await anext(frames)
    events.publish(bob.pk, {"type": "balance", "available": "not yours"})
    events.publish(alice.pk, {"type": "balance", "available": "1.00"})
    heard = (await anext(frames)).decode()
    assert json.loads(heard.partition("data: ")[2])["available"] == "1.00"
    await frames.aclose()
