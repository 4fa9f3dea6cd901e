"""Styles: chosen by a person, stored beside their words, worded when a worker takes the image."""

import uuid
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.pages import serve_plain_static
from tests.people import claim, finish, make_model, make_spec, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import Conflict, InvalidInput
from webapp.gallery.filters import read_filter
from webapp.gallery.selectors import list_wall_page
from webapp.generation.models import Generation, Image
from webapp.generation.request.checks import parse_spec
from webapp.generation.request.styles import PLAIN, PROMPT, STYLES, apply_style, style_name
from worker.engine_requests import parameters_text
from worker.finishing.parameters import read_parameters

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}
WORDED = [style for style in STYLES.values() if style.slug != PLAIN]


@pytest.fixture
def as_alice(client: Client, alice: User, settings: LazySettings) -> Client:
    serve_plain_static(settings)
    client.force_login(alice)
    return client


def form(offered: DiffusionModel, **changes: Any) -> dict[str, Any]:
    fields = {"model": offered.slug, "prompt": "a fox at dusk", "count": "1"}
    return {**fields, "quoted_each_ucr": "200000", "idempotency_key": uuid.uuid4().hex, **changes}


def test_there_are_seventeen_styles_beside_none() -> None:
    assert len(WORDED) == 17
    assert PLAIN in STYLES
    for style in WORDED:
        assert style.template.count(PROMPT) == 1
        assert style.negative
        assert not set("()[]") & set(style.template + style.negative), "those mean emphasis"


def test_no_style_changes_nothing() -> None:
    words = apply_style(PLAIN, prompt="a {fox}", negative_prompt="people", model=DiffusionModel())
    assert (words.prompt, words.negative_prompt) == ("a {fox}", "people")


@pytest.mark.parametrize("style", WORDED, ids=lambda style: style.slug)
def test_a_style_keeps_the_persons_own_words_whole(style: Any) -> None:
    asked = "a fox {prompt} {0} (very:1.2) % at dusk"
    words = apply_style(style.slug, prompt=asked, negative_prompt="people", model=DiffusionModel())
    assert asked in words.prompt
    assert len(words.prompt) > len(asked)
    assert words.negative_prompt == f"people, {style.negative}"


def test_what_a_style_leaves_out_stands_alone_where_the_person_leaves_nothing_out() -> None:
    words = apply_style("anime", prompt="a fox", negative_prompt="", model=DiffusionModel())
    assert words.negative_prompt == STYLES["anime"].negative


def test_a_worker_gets_the_words_of_the_style_and_the_person_keeps_theirs(
    alice: User, offered_model: DiffusionModel
) -> None:
    made = submit(alice, offered_model, style="pixel-art")
    claimed = claim(offered_model)
    assert claimed.asked.prompt.startswith("pixel art of a fox at dusk, ")
    assert claimed.asked.negative_prompt.startswith("people, smooth gradients")
    made.refresh_from_db()
    assert (made.prompt, made.negative_prompt, made.style) == (
        "a fox at dusk",
        "people",
        "pixel-art",
    )


def test_a_model_without_negative_prompts_gets_none_of_the_style(alice: User) -> None:
    plain = make_model("plain", uses_negative_prompt=False)
    submit(alice, plain, style="anime", negative_prompt="")
    claimed = claim(plain)
    assert "anime" in claimed.asked.prompt
    assert claimed.asked.negative_prompt == ""


def test_a_request_of_a_style_that_was_taken_off_is_still_drawn(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    Generation.objects.update(style="steampunk")
    claimed = claim(offered_model)
    assert (claimed.asked.prompt, claimed.asked.negative_prompt) == ("a fox at dusk", "people")
    assert style_name("steampunk", model=offered_model) == "steampunk"


def test_the_file_carries_the_composed_prompt_and_the_style(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, style="line-art")
    claimed = claim(offered_model)
    said = read_parameters(parameters_text(claimed))
    assert (said.prompt, said.more) == (claimed.asked.prompt, {"Style": "line-art"})
    assert "Style: line-art" in parameters_text(claimed)


def test_the_file_of_a_picture_without_a_style_names_none(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    assert "Style" not in parameters_text(claim(offered_model))


@pytest.mark.parametrize("style", ["steampunk", "Anime", "anime ", "../x", "x" * 400, ["anime"]])
def test_an_unknown_style_is_refused_with_those_on_offer(
    offered_model: DiffusionModel, style: object
) -> None:
    with pytest.raises(InvalidInput, match=r"There is no style .* Pixel art") as refused:
        parse_spec({"prompt": "a fox", "style": style}, model=offered_model)
    assert refused.value.field == "style"


def test_a_form_with_an_unknown_style_makes_nothing(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    response = as_alice.post("/generations/", form(offered_model, style="nope"), headers=JSON)
    assert response.status_code == 400
    assert response.json()["error"]["field"] == "style"
    assert not Generation.objects.exists()


def test_a_form_without_a_style_asks_for_none(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    as_alice.post("/generations/", form(offered_model), headers=JSON)
    as_alice.post("/generations/", form(offered_model, style=""), headers=JSON)
    assert set(Generation.objects.values_list("style", flat=True)) == {""}


def test_the_same_key_with_another_style_is_a_conflict(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, key="click", style="anime")
    with pytest.raises(Conflict):
        submit(alice, offered_model, key="click", style="origami")
    digests = {make_spec(style=slug).digest(model_slug="tiny") for slug in STYLES}
    assert len(digests) == len(STYLES)


def test_trying_again_and_variations_keep_the_style(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, style="origami")
    image = Image.objects.get()
    again = {"again": str(image.pk), "idempotency_key": "again", "quoted_each_ucr": "200000"}
    variations = {**again, "seed": "random", "count": "4", "idempotency_key": "more"}
    as_alice.post("/generations/", again, headers=JSON)
    as_alice.post("/generations/", variations, headers=JSON)
    assert list(Generation.objects.values_list("style", flat=True)) == ["origami"] * 3


def test_the_settings_of_a_picture_bring_its_style_back_and_its_words_alone_do_not(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, style="origami")
    image = Image.objects.get()
    chosen = 'value="origami" checked'
    assert chosen in as_alice.get(f"/?from={image.pk}").content.decode()
    assert chosen not in as_alice.get(f"/?from={image.pk}&only=prompt").content.decode()


def test_a_refused_form_comes_back_with_its_style(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    response = as_alice.post("/generations/", form(offered_model, prompt="", style="low-poly"))
    assert response.status_code == 400
    assert 'value="low-poly" checked' in response.content.decode()


def test_a_style_costs_nothing_more(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    prices = {submit(alice, offered_model, style=slug).price_each_ucr for slug in STYLES}
    assert prices == {200_000}


def test_the_feed_and_the_picture_page_name_the_style(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, style="modeling-compound")
    claimed = claim(offered_model)
    assert finish(claimed)
    assert "style: Modelling clay" in as_alice.get("/").content.decode()
    page = as_alice.get(f"/images/{claimed.image_id}/").content.decode()
    assert "<dt>Style</dt><dd>Modelling clay</dd>" in page


def test_the_gallery_is_narrowed_to_a_style(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    for slug in ("anime", "pixel-art", PLAIN):
        submit(alice, offered_model, style=slug)
        assert finish(claim(offered_model))
    page = list_wall_page(owner=alice, wall=read_filter({"style": "pixel-art"}), cursor="")
    assert len(page.images) == 1
    shown = as_alice.get("/gallery/?style=pixel-art").content.decode()
    assert '<option value="pixel-art" selected>Pixel art</option>' in shown
