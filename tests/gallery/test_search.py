"""Searching: words of any script, conditions, and how it stays quick."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.bench.wall import hang_pictures
from tests.gallery.pictures import age, change_request, draw, show
from tests.people import make_model
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.gallery import selectors
from webapp.gallery.filters import WallFilter, read_filter
from webapp.gallery.searching import write_tsquery
from webapp.gallery.selectors import list_wall_page
from webapp.generation.models import Generation, Image

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a fox at dusk", "fox"),
        ("a fox at dusk", "DUSK fox"),
        ("a fox at dusk", "fox du"),
        ("(red-fox:1.2), and/or owl.png", "fox owl"),
        ("(red-fox:1.2), and/or owl.png", "red-fox 1.2"),
        ("a fox,an owl;a cat", "owl"),
        ("사과의 그림", "사과"),
        ("사과의 그림", "사과 그림"),
        ("사과의 그림", "그림 사과"),
        ("红色的狐狸", "狐狸"),
        ("赤いキツネ", "キツネ"),
        ("ÉTUDE d'été", "étude été"),
        ("a ＦＯＸ", "fox"),  # noqa: RUF001 - full width on purpose
        ("हिन्दी चित्र", "हिन्दी"),
        ("кошка и лиса", "Лиса"),
        ("8k photo, 50mm", "50mm"),
        ("a co\u00adoperative fox", "cooperative"),
        ("a cooperative fox", "co\u00adoperative"),
        ("fo\u200dx", "fox"),
        ("می\u200cخواهم", "میخواهم"),  # noqa: RUF001
        ("fox", "f\u200box\ufeff"),
        ("ΟΔΥΣΣΕΥΣ στο δρόμος", "οδυσσευς"),
        ("ο δρόμος", "ΔΡΌΜΟΣ"),  # noqa: RUF001
        ("ο δρόμοσ", "δρόμος"),  # noqa: RUF001
        ("Große STRASSE", "grosse"),
        ("Große STRASSE", "straße"),
        ("GROẞE", "große"),
        ("ein Fuß", "FUSS"),
        ("ᾳδης", "ΑΙΔΗΣ"),
        ("İstanbul", "i̇stanbul"),
        ("İstanbul", "İSTANBUL"),
        ("Ꭰꭰ", "ꭰᎠ"),
        ("it's <b>bold</b> & 'quoted'", "bold quoted"),
    ],
)
def test_words_are_found_however_they_are_written(
    alice: User, offered_model: DiffusionModel, prompt: str, words: str
) -> None:
    draw(alice, offered_model, prompt=prompt)
    draw(alice, offered_model, prompt="something else")
    assert show(alice, words=words) == [prompt]


@pytest.mark.parametrize("words", ["ox", "foxes", "fox owl", "fo dusk", "狸狐"])
def test_words_that_are_not_there_are_not_found(
    alice: User, offered_model: DiffusionModel, words: str
) -> None:
    draw(alice, offered_model, prompt="a fox at dusk 狐狸")
    assert show(alice, words=words) == []


@pytest.mark.parametrize(
    "words", ["'", "fox' | 'owl", "fox\\", "fox:*", "!fox", "a & b", "fox <-> owl", "(((", "\0fox"]
)
def test_what_means_something_to_the_database_is_only_words(
    alice: User, offered_model: DiffusionModel, words: str
) -> None:
    draw(alice, offered_model, prompt="an owl")
    try:
        assert show(alice, words=words) == []
    except InvalidInput as error:
        assert error.field == "q"  # noqa: PT017 - nothing in it to look for


def test_a_query_is_words_and_nothing_else() -> None:
    assert write_tsquery("Fox, 'at' dusk") == "'fox' & 'at' & 'dusk':*"
    assert write_tsquery("사과의 owl") == "'사과의':* & 'owl':*"
    assert write_tsquery("狐狸 cat") == "('狐' <-> '狸') & 'cat':*"
    assert write_tsquery("!?'") == ""


def test_only_ones_own_pictures_are_found(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    draw(alice, offered_model, prompt="a fox of hers")
    draw(bob, offered_model, prompt=f"a fox owner:{alice.pk} owner{alice.pk}")
    assert show(alice, words="fox") == ["a fox of hers"]
    assert show(bob, words=f"owner:{alice.pk}") == [f"a fox owner:{alice.pk} owner{alice.pk}"]
    assert show(alice, words=f"owner:{alice.pk}") == []


def test_each_condition_narrows(alice: User, offered_model: DiffusionModel) -> None:
    other = make_model("other")
    draw(alice, offered_model, prompt="square")
    wide = draw(alice, other, prompt="wide", width_px=128)
    tall = draw(alice, offered_model, prompt="tall", height_px=128)
    change_request(wide, style="anime")
    age(tall, finished_at=3)
    assert show(alice, shape="square") == ["square"]
    assert show(alice, shape="landscape") == ["wide"]
    assert show(alice, shape="portrait") == ["tall"]
    assert show(alice, model="other") == ["wide"]
    assert show(alice, style="anime") == ["wide"]
    assert show(alice, mode="text") == ["wide", "square", "tall"]
    assert show(alice, mode="inpaint") == []
    assert show(alice, model="tiny", shape="portrait", words="ta") == ["tall"]
    today = timezone.localdate()
    assert show(alice, since=today) == ["wide", "square"]
    assert show(alice, until=today - timedelta(days=3)) == ["tall"]
    assert show(alice, since=today - timedelta(days=3), until=today - timedelta(days=3)) == ["tall"]


def test_every_place_can_be_searched(alice: User, offered_model: DiffusionModel) -> None:
    star = draw(alice, offered_model, prompt="fox star")
    binned = draw(alice, offered_model, prompt="fox bin")
    draw(alice, offered_model, prompt="fox plain")
    Image.objects.filter(pk=star.pk).update(is_favourite=True)
    age(binned, binned_at=1)
    assert show(alice, words="fox") == ["fox plain", "fox star"]
    assert show(alice, words="fox", place="favourites") == ["fox star"]
    assert show(alice, words="fox", place="bin") == ["fox bin"]
    assert show(alice, words="owl", place="bin") == []


def test_an_address_and_its_filter_say_the_same() -> None:
    data = {
        "in": "favourites", "q": "fox & owl", "model": "tiny", "style": "anime",
        "shape": "square", "mode": "text", "from": "2026-01-01", "to": "2026-02-28",
    }  # fmt: skip
    wall = read_filter(data)
    assert wall.query == (
        "in=favourites&q=fox+%26+owl&model=tiny&style=anime&shape=square&mode=text"
        "&from=2026-01-01&to=2026-02-28"
    )
    assert wall.without("words").words == ""
    assert wall.place_only == WallFilter(place="favourites")


def test_a_model_that_is_not_there_and_words_without_a_letter_get_a_sentence(alice: User) -> None:
    with pytest.raises(InvalidInput, match="no such model"):
        show(alice, model="unknown")
    with pytest.raises(InvalidInput, match="at least one letter"):
        show(alice, words="?!")
    with pytest.raises(InvalidInput, match="up to 200"):
        read_filter({"q": "x" * 201})


@pytest.mark.parametrize("looked_at", [1, 70, 1000])
@pytest.mark.parametrize("named", [0, 100, 1000])
def test_every_way_of_searching_finds_the_same(
    alice: User,
    offered_model: DiffusionModel,
    monkeypatch: pytest.MonkeyPatch,
    looked_at: int,
    named: int,
) -> None:
    """Rare words by the index, common ones one by one, and those in between by walking."""
    hang_pictures(owner=alice, model=offered_model, pictures=600)
    monkeypatch.setattr(selectors, "LOOKED_AT_MOST", looked_at)
    monkeypatch.setattr(selectors, "NAMED_MOST", named)
    for word in ("fox", "dusk", "owl", "zeppelin", "nothing"):
        wanted = list(
            Generation.objects.filter(prompt__contains=word)
            .order_by("-created_at")
            .values_list("prompt", flat=True)
        )
        page = list_wall_page(owner=alice, wall=WallFilter(words=word))
        found = [picture.prompt for picture in page.images]
        assert page.counted <= len(wanted)
        assert page.is_more or page.counted == len(wanted)
        while page.next_cursor:
            page = list_wall_page(owner=alice, wall=WallFilter(words=word), cursor=page.next_cursor)
            found += [picture.prompt for picture in page.images]
        assert found == wanted


def test_a_search_of_ten_thousand_asks_the_index_and_few_queries(
    alice: User, offered_model: DiffusionModel
) -> None:
    hang_pictures(owner=alice, model=offered_model, pictures=10_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE generation_generation, generation_image")
    for words in ("number 4711", "zeppelin"):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert show(alice, words=words)
        assert len(asked) <= 5
        first = asked.captured_queries[2]["sql"]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {first}")
            assert "generation_search" in str(cursor.fetchall())


def test_the_page_shows_what_it_was_asked_and_how_to_ask_less(
    client: Client, alice: User, offered_model: DiffusionModel, settings: Any
) -> None:
    from tests.pages import serve_plain_static

    serve_plain_static(settings)
    draw(alice, offered_model)
    client.force_login(alice)
    html = client.get("/gallery/?q=fox&shape=square").content.decode()
    assert 'value="fox"' in html
    assert 'href="/gallery/?q=fox"' in html
    assert 'value="square" selected' in html
