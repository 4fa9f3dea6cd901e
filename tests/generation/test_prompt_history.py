"""One's own past prompts: newest first, each once, and nobody else's."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from tests.pages import serve_plain_static
from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.generation.models import Generation
from webapp.generation.studio.prompts import MOST_LOOKED_AT, PAGE_SIZE, list_past_prompts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


def draw_with(
    owner: User, model: DiffusionModel, prompts: list[str], negative_prompt: str = ""
) -> None:
    """One request a prompt, the last one newest, without their images."""
    now = timezone.now()
    Generation.objects.bulk_create(
        Generation(
            owner=owner,
            model=model,
            prompt=prompt,
            negative_prompt=negative_prompt,
            width_px=64,
            height_px=64,
            steps=4,
            guidance_scale=5,
            sampler="ddim",
            seed=number,
            price_each_ucr=200_000,
            idempotency_key=f"{prompt[:20]}-{negative_prompt[:20]}-{number}",
            spec_hash="",
        )
        for number, prompt in enumerate(prompts)
    )
    made = Generation.objects.filter(owner=owner).order_by("seed")
    for number, generation in enumerate(made):
        generation.created_at = now - timedelta(seconds=len(prompts) - number)
    Generation.objects.bulk_update(made, ["created_at"], batch_size=500)


def words_of(owner: User, words: str = "", before: str = "") -> list[str]:
    page = list_past_prompts(owner=owner, words=words, before=before)
    return [one.prompt for one in page.prompts]


def test_the_newest_prompt_comes_first_and_each_pair_once(
    alice: User, offered_model: DiffusionModel
) -> None:
    for prompt, negative in [("fox", ""), ("owl", ""), ("fox", "people"), ("owl", ""), ("fox", "")]:
        submit(alice, offered_model, prompt=prompt, negative_prompt=negative)
    page = list_past_prompts(owner=alice)
    pairs = [(one.prompt, one.negative_prompt) for one in page.prompts]
    assert pairs == [("fox", ""), ("owl", ""), ("fox", "people")]
    assert page.before == ""


def test_the_words_of_another_are_never_among_them(
    client: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, prompt="my secret garden")
    client.force_login(bob)
    assert client.get("/prompts/").json() == {"prompts": [], "before": ""}
    assert client.get("/prompts/?q=secret").json()["prompts"] == []
    place = list_past_prompts(owner=alice).before
    assert client.get(f"/prompts/?before={place}").json()["prompts"] == []


def test_a_stranger_is_sent_to_the_sign_in_page(client: Client) -> None:
    assert client.get("/prompts/")["Location"].startswith("/accounts/login/")


def test_the_door_tells_both_prompts_and_is_kept_by_nobody(
    client: Client, alice: User, offered_model: DiffusionModel
) -> None:
    made = submit(alice, offered_model, prompt="<b>fox</b>", negative_prompt="people")
    client.force_login(alice)
    response = client.get("/prompts/")
    at = made.created_at.isoformat()
    assert response.json() == {
        "prompts": [{"prompt": "<b>fox</b>", "negative_prompt": "people", "at": at}],
        "before": "",
    }
    assert "no-store" in response["Cache-Control"]


def test_a_search_finds_prompts_with_all_its_words_in_either_of_the_two(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, prompt="A Fox at dusk", negative_prompt="")
    submit(alice, offered_model, prompt="an owl at dusk", negative_prompt="rain")
    submit(alice, offered_model, prompt="100% wool", negative_prompt="")
    assert words_of(alice, "dusk fox") == ["A Fox at dusk"]
    assert words_of(alice, "RAIN du") == ["an owl at dusk"]
    assert words_of(alice, "0%") == ["100% wool"]
    assert words_of(alice, "zebra") == []


def test_pages_follow_each_other_without_a_gap(alice: User, offered_model: DiffusionModel) -> None:
    prompts = [f"prompt {number}" for number in range(2 * PAGE_SIZE + 1)]
    draw_with(alice, offered_model, prompts)
    seen: list[str] = []
    before, pages = "", 0
    while pages == 0 or before:
        page = list_past_prompts(owner=alice, before=before)
        seen += [one.prompt for one in page.prompts]
        before, pages = page.before, pages + 1
    assert seen == prompts[::-1]
    assert pages == 3


def test_requests_of_the_same_moment_are_neither_lost_nor_told_twice(
    alice: User, offered_model: DiffusionModel
) -> None:
    prompts = [f"prompt {number}" for number in range(PAGE_SIZE + 3)]
    draw_with(alice, offered_model, prompts)
    Generation.objects.update(created_at=timezone.now())
    first = list_past_prompts(owner=alice)
    rest = words_of(alice, before=first.before)
    assert sorted([one.prompt for one in first.prompts] + rest) == sorted(prompts)


def test_one_prompt_drawn_a_thousand_times_leads_on_to_what_was_before(
    alice: User, offered_model: DiffusionModel
) -> None:
    draw_with(alice, offered_model, ["an old one", *["the same"] * MOST_LOOKED_AT])
    page = list_past_prompts(owner=alice)
    assert [one.prompt for one in page.prompts] == ["the same"]
    assert words_of(alice, before=page.before) == ["an old one"]


def test_a_page_is_one_query_however_many_there_are(
    alice: User, offered_model: DiffusionModel, django_assert_num_queries: Any
) -> None:
    draw_with(alice, offered_model, [f"prompt {number}" for number in range(200)])
    for words in ("", "prompt 1", "nothing"):
        with django_assert_num_queries(1):
            list_past_prompts(owner=alice, words=words)


@pytest.mark.parametrize("before", ["x", "eHg=", "MjAyNi0wMS0wMSB4", "ü"])
def test_a_place_that_is_not_ours_is_refused(alice: User, before: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        list_past_prompts(owner=alice, before=before)
    assert refused.value.field == "before"


@pytest.mark.parametrize("words", ["x" * 201, "a\x00b"])
def test_a_search_that_cannot_be_asked_for_is_refused(alice: User, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        list_past_prompts(owner=alice, words=words)
    assert refused.value.field == "q"
