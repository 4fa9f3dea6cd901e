"""What a model with a vocabulary can't draw is refused at every door; nothing is held for it."""

import uuid
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from tests.pages import serve_plain_static
from tests.people import claim, finish, make_model, make_spec, submit
from tests.vocabularies import give_vocabulary
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.vocabulary_services import keep_vocabulary
from webapp.core.errors import InvalidInput
from webapp.credits.models import Hold
from webapp.gallery.image_page import read_enlargement
from webapp.generation.models import Generation, Image
from webapp.generation.queueing.services import submit_generation
from webapp.generation.request.checks import check_spec, enlarged_size, parse_spec
from webapp.generation.request.styles import PLAIN, apply_style, offered_styles, style_name
from webapp.generation.request.uploads import create_upload_from_image
from webapp.generation.studio.knowledge import first_ideas, page_ideas

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}


@pytest.fixture
def small(db: None) -> DiffusionModel:
    """A model that knows few things."""
    return give_vocabulary(make_model("small"))


@pytest.fixture
def as_alice(client: Client, alice: User, settings: LazySettings) -> Client:
    serve_plain_static(settings)
    client.force_login(alice)
    return client


def form(model: DiffusionModel, **changes: Any) -> dict[str, Any]:
    fields = {"model": model.slug, "prompt": "a cat", "count": "1", "negative_prompt": ""}
    return {**fields, "quoted_each_ucr": "200000", "idempotency_key": uuid.uuid4().hex, **changes}


def refuse(owner: User, model: DiffusionModel, **changes: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        submit(owner, model, **changes)
    assert not Generation.objects.exists()
    assert not Hold.objects.exists()
    return refused.value


def picture_of(owner: User, model: DiffusionModel, **changes: Any) -> Image:
    """A finished image of the owner."""
    submit(owner, model, **{"prompt": "a cat", **changes})
    claimed = claim(model)
    assert finish(claimed)
    return Image.objects.get(pk=claimed.image_id)


def test_a_prompt_that_names_no_thing_it_knows_is_refused_and_nothing_is_held(
    alice: User, small: DiffusionModel
) -> None:
    error = refuse(alice, small, prompt="an astronaut riding a horse")
    assert error.field == "prompt"
    assert error.sentence.startswith(
        "Small can't draw any of this. Similar words that it knows: rocket"
    )
    error = refuse(alice, small, prompt="zzz")
    assert error.sentence == "Small can't draw any of this. Use a word that it knows."
    refuse(alice, small, prompt="a red background")
    refuse(alice, small, prompt="🐱 !!! 123")


def test_words_that_it_does_not_know_beside_a_thing_that_it_knows_are_drawn(
    alice: User, small: DiffusionModel
) -> None:
    submit(alice, small, prompt="an astronaut with a cat")
    assert Generation.objects.count() == 1


def test_a_model_without_a_vocabulary_is_asked_for_anything(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, prompt="zzz", style="anime", width_px=192)
    assert Generation.objects.count() == 1


def test_the_sentence_is_in_the_visitors_language(alice: User, small: DiffusionModel) -> None:
    with translation.override("ko"):
        error = refuse(alice, small, prompt="호랑이")
    assert "Small" in error.sentence
    assert "draw" not in error.sentence


def test_every_door_says_it(as_alice: Client, alice: User, small: DiffusionModel) -> None:
    response = as_alice.post("/generations/", form(small, prompt="a horse"), headers=JSON)
    assert response.status_code == 400
    assert response.json()["error"]["field"] == "prompt"
    page = as_alice.post("/generations/", form(small, prompt="a horse")).content.decode()
    assert "Small can&#x27;t draw any of this." in page
    assert not Generation.objects.exists()


def test_an_older_request_with_words_that_it_does_not_know_is_not_repeated(
    as_alice: Client, alice: User, small: DiffusionModel
) -> None:
    submit(alice, small, prompt="a cat")
    Generation.objects.update(prompt="an astronaut")
    image = Image.objects.get()
    again = {"again": str(image.pk), "idempotency_key": "again", "quoted_each_ucr": "200000"}
    response = as_alice.post("/generations/", again, headers=JSON)
    assert response.status_code == 400
    assert Generation.objects.count() == 1


def test_a_start_image_needs_a_known_word_but_no_thing(alice: User, small: DiffusionModel) -> None:
    image = picture_of(alice, small)
    start = create_upload_from_image(owner=alice, image=image)
    asked = {"mode": "image", "start": str(start.pk), "strength": "0.9"}
    parse_spec({**asked, "prompt": "a blue background"}, model=small)
    with pytest.raises(InvalidInput, match="can't draw any of this"):
        parse_spec({**asked, "prompt": "zzz"}, model=small)


def test_an_image_is_enlarged_with_the_words_that_it_was_drawn_with(
    alice: User, small: DiffusionModel
) -> None:
    small = give_vocabulary(small, sizes=[[64, 64], [128, 128]])
    image = picture_of(alice, small)
    start = create_upload_from_image(owner=alice, image=image)
    asked = {"mode": "upscale", "start": str(start.pk), "prompt": "what it was", "steps": 4}
    spec = parse_spec({**asked, "width": 128, "height": 128}, model=small)
    made = submit_generation(owner=alice, model=small, spec=spec, idempotency_key="larger")
    assert made.mode == "upscale"


def test_an_image_is_not_enlarged_to_a_size_that_the_model_does_not_name(
    alice: User, small: DiffusionModel
) -> None:
    sentence = "Small draws 64 × 64 or 128 × 64 pixels; 128 × 128 is not among them."
    with pytest.raises(InvalidInput) as refused:
        enlarged_size(small, width_px=64, height_px=64)
    assert refused.value.sentence == sentence
    shown = read_enlargement(owner=alice, image=picture_of(alice, small, steps=10))
    assert shown is not None
    assert shown.problem == sentence


def test_an_image_whose_style_is_gone_says_why_it_is_not_enlarged(
    alice: User, small: DiffusionModel
) -> None:
    small = give_vocabulary(small, sizes=[[64, 64], [128, 128]])
    image = picture_of(alice, small, steps=10)
    shown = read_enlargement(owner=alice, image=image)
    assert shown is not None
    assert not shown.problem
    image.generation.style = "anime"
    shown = read_enlargement(owner=alice, image=image)
    assert shown is not None
    assert "Small has no style “anime”." in shown.problem


def test_the_price_of_a_size_that_it_does_not_name_is_not_quoted(
    client: Client, alice: User, small: DiffusionModel
) -> None:
    client.force_login(alice)
    asked = {"model": small.slug, "width": "64", "height": "128", "steps": "4"}
    refused = client.get("/prices/quote/", asked, headers={"Accept": "application/json"})
    assert "64 × 128 is not among them" in refused.json()["error"]["message"]
    asked |= {"width": "128", "height": "64"}
    assert client.get("/prices/quote/", asked).status_code == 200


def test_only_the_sizes_that_it_names_are_drawn(alice: User, small: DiffusionModel) -> None:
    error = refuse(alice, small, prompt="a cat", width_px=64, height_px=128)
    assert error.field == "width"
    assert "64 × 128 is not among them" in error.sentence
    submit(alice, small, prompt="a cat", width_px=128, height_px=64)


def test_its_own_styles_are_offered_and_no_others(alice: User, small: DiffusionModel) -> None:
    assert [style.slug for style in offered_styles(small)] == [PLAIN, "flat", "pixel-art"]
    error = refuse(alice, small, prompt="a cat", style="anime")
    assert error.sentence == "Small has no style “anime”. On offer: None, Flat, Pixels."
    submit(alice, small, prompt="a cat", style="flat")


def test_a_vocabulary_that_says_nothing_of_styles_leaves_ours(small: DiffusionModel) -> None:
    assert len(offered_styles(give_vocabulary(small, "styles"))) == 18
    assert [style.slug for style in offered_styles(give_vocabulary(small, styles=[]))] == [PLAIN]


def test_the_words_of_its_own_style_come_in_the_language_of_the_prompt(
    alice: User, small: DiffusionModel
) -> None:
    submit(alice, small, prompt="a cat", style="pixel-art", negative_prompt="red")
    claimed = claim(small)
    assert (claimed.asked.prompt, claimed.asked.negative_prompt) == ("a cat, pixel style", "red")
    words = apply_style("flat", prompt="고양이 한 마리", negative_prompt="", model=small)
    assert words.prompt == "고양이 한 마리, 플랫 스타일"


def test_a_style_that_is_asked_for_before_the_model_had_its_own_is_still_drawn(
    alice: User, small: DiffusionModel
) -> None:
    submit(alice, small, prompt="a cat", style="flat")
    Generation.objects.update(style="origami")
    assert claim(small).asked.prompt.startswith("origami of a cat")


def test_its_style_has_its_name_on_every_page_and_keeps_it_when_it_is_gone(
    as_alice: Client, alice: User, small: DiffusionModel
) -> None:
    image = picture_of(alice, small, style="flat")
    for _look in ("while it is offered", "when it is gone"):
        assert "style: Flat" in as_alice.get("/").content.decode()
        page = as_alice.get(f"/images/{image.pk}/").content.decode()
        assert "<dt>Style</dt><dd>Flat</dd>" in page
        wall = as_alice.get("/gallery/?style=flat").content.decode()
        assert '<option value="flat" selected>Flat</option>' in wall
        keep_vocabulary(model=small, raw=None)
    with translation.override("ko"):
        assert style_name("flat", model=DiffusionModel.objects.get()) == "플랫"


def test_the_name_of_another_models_style_of_the_same_slug_is_its_own(
    alice: User, small: DiffusionModel, offered_model: DiffusionModel
) -> None:
    assert style_name("pixel-art", model=small) == "Pixels"
    assert style_name("pixel-art", model=offered_model) == "Pixel art"


def test_settings_of_an_image_that_the_model_draws_no_more_are_mended_aloud(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = picture_of(alice, offered_model, style="origami", width_px=192)
    give_vocabulary(offered_model)
    page = as_alice.get(f"/?from={image.pk}").content.decode()
    assert 'name="style" form="composer" value="" checked' in page
    assert "Tiny has no style Origami: none is chosen now." in page
    assert 'id="width" name="width" form="composer" inputmode="numeric" autocomplete="off"' in page
    assert 'value="64" aria-describedby="wrong-width' in page


def test_the_page_offers_what_it_can_draw(as_alice: Client, small: DiffusionModel) -> None:
    page = as_alice.get("/").content.decode()
    assert 'value="pixel-art"' in page
    assert 'value="origami"' not in page.split("page-styles")[0]
    assert "It knows 11 things." in page
    assert "This model generates 64 × 64 or 128 × 64 pixels." in page


def test_ideas_of_a_model_with_words_are_those_that_it_knows(
    small: DiffusionModel, offered_model: DiffusionModel
) -> None:
    assert first_ideas(small)[0] == "cat"
    ideas = page_ideas([small, offered_model])
    assert ideas["of"] == {"small": "of:small", "tiny": "rich"}
    assert "rocket" in ideas["lists"]["of:small"]
    with translation.override("ko"):
        assert "고양이" in first_ideas(small)
    words = ["a", "on", "purple", "background", "yellow"]
    things = {
        "en": {
            name: name
            for name in (
                "cat",
                "doughnut",
                "lemon",
                "pumpkin",
                "star",
                "ghost",
                "watermelon",
                "volcano",
            )
        }
    }
    knowing = give_vocabulary(small, "near", things=things, words={"en": words})
    assert first_ideas(knowing)[0] == "a cat on a purple background"


def read(client: Client, model: DiffusionModel, **fields: str) -> Any:
    return client.post("/prompts/reading/", {"model": model.slug} | fields)


def test_the_door_says_which_words_are_unknown_and_what_is_near(
    as_alice: Client, small: DiffusionModel
) -> None:
    told = read(as_alice, small, prompt="a kitty and a dog", negative_prompt="people").json()
    assert told["knows"] is True
    assert told["draws"] is True
    assert told["unknown"] == [{"word": "kitty", "places": [[2, 7]], "near": ["cat"]}]
    assert told["more"] == 0
    assert told["negative"].startswith("This model can't leave out “people”. It can leave out: “wh")


def test_places_are_those_of_a_page_beyond_the_first_plane_too(
    as_alice: Client, small: DiffusionModel
) -> None:
    told = read(as_alice, small, prompt="🐱🐱 cat kitty").json()
    assert told["unknown"][0]["places"] == [[9, 14]]


def test_what_a_door_says_of_negative_prompts(as_alice: Client, small: DiffusionModel) -> None:
    said = read(as_alice, small, prompt="cat", negative_prompt="red").json()["negative"]
    assert said == "This model can leave out: “white background”, “blue background”, “red”."
    none = give_vocabulary(small, negative=[])
    said = read(as_alice, none, prompt="cat", negative_prompt="red").json()["negative"]
    assert said == "This model doesn't follow a negative prompt."
    unsaid = give_vocabulary(small, "negative")
    assert read(as_alice, unsaid, prompt="cat", negative_prompt="x").json()["negative"] == ""


def test_six_unknown_words_are_named_and_the_others_counted(
    as_alice: Client, small: DiffusionModel
) -> None:
    words = "zaza zebe zici zodo zufu zygy zaha zeje"
    told = read(as_alice, small, prompt=words).json()
    assert len(told["unknown"]) == 6
    assert told["more"] == 2
    assert told["draws"] is False


def test_a_model_without_words_answers_that_it_has_none(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    assert read(as_alice, offered_model, prompt="kitty").json() == {"knows": False}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"prompt": "x" * 2001}, 400),
        ({"prompt": "cat", "negative_prompt": "x" * 2001}, 400),
        ({"prompt": "a\x00cat"}, 400),
        ({"prompt": "x" * 2000}, 200),
        ({}, 200),
    ],
)
def test_the_door_takes_what_a_request_may_have(
    as_alice: Client, small: DiffusionModel, fields: dict[str, str], status: int
) -> None:
    assert read(as_alice, small, **fields).status_code == status


def test_the_door_takes_no_prompt_in_its_address(as_alice: Client, small: DiffusionModel) -> None:
    assert as_alice.get("/prompts/reading/?prompt=cat&model=small").status_code == 405


def test_whoever_asks_without_end_is_told_to_wait(
    as_alice: Client, small: DiffusionModel, valkey_is_empty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.generation.studio.prompt_views.MOST_ASKED", 2)
    assert [read(as_alice, small, prompt="cat").status_code for _time in range(3)] == [
        200,
        200,
        429,
    ]


def test_everything_that_it_knows_is_listed_in_the_visitors_language(
    as_alice: Client, small: DiffusionModel
) -> None:
    told = as_alice.get("/models/small/words/").json()
    assert told["model"] == "Small"
    assert {"cat", "ice cream", "생일 케이크"} <= set(told["things"])
    assert "kitten" not in told["things"]
    assert told["styles"] == ["Flat", "Pixels"]
    as_alice.cookies["django_language"] = "ko"
    told = as_alice.get("/models/small/words/", headers={"Accept-Language": "ko"}).json()
    assert {"고양이", "rocket"} <= set(told["things"])
    assert told["styles"] == ["플랫", "픽셀"]


def test_a_model_that_is_not_on_offer_tells_nothing(
    as_alice: Client, small: DiffusionModel
) -> None:
    assert as_alice.get("/models/nope/words/").status_code == 400
    DiffusionModel.objects.update(enabled=False)
    assert as_alice.get("/models/small/words/").status_code == 400
    assert read(as_alice, small, prompt="cat").status_code == 400


def test_a_check_of_a_request_asks_the_database_nothing_more(small: DiffusionModel) -> None:
    spec = make_spec(prompt="a cat")
    check_spec(spec, model=small)
    with CaptureQueriesContext(connection) as queries:
        check_spec(spec, model=small)
    assert len(queries) == 0
