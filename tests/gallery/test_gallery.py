"""The wall: what hangs there, in which order, and what it costs to look at it."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from tests.bench.wall import hang_pictures
from tests.gallery.pictures import age, draw, show
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput, NotFound
from webapp.gallery.filters import WallFilter
from webapp.gallery.image_page import get_neighbours
from webapp.gallery.selectors import PAGE_SIZE, WallImage, list_wall_page
from webapp.generation.models import Image
from webapp.generation.queueing import services

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]

PICTURES = 10_000
MOST_QUERIES = 8


def all_pages(owner: User, wall: WallFilter) -> list[WallImage]:
    page = list_wall_page(owner=owner, wall=wall)
    images = list(page.images)
    while page.next_cursor:
        page = list_wall_page(owner=owner, wall=wall, cursor=page.next_cursor)
        images += page.images
    return images


@pytest.mark.parametrize("place", ["", "favourites", "bin"])
def test_the_pages_of_a_place_hold_every_picture_once_newest_first(
    alice: User, bob: User, offered_model: DiffusionModel, place: str
) -> None:
    hang_pictures(owner=alice, model=offered_model, pictures=150)
    hang_pictures(owner=bob, model=offered_model, pictures=5)
    mine = Image.objects.filter(owner=alice)
    mine.update(is_favourite=True)
    if place == "bin":
        newest = Image.objects.order_by("finished_at").last()
        assert newest
        mine.update(binned_at=newest.finished_at)
    images = all_pages(alice, WallFilter(place=place))
    times = [(image.binned_at or image.finished_at, image.pk) for image in images]
    assert len(set(times)) == 150
    assert times == sorted(times, reverse=True)


def test_counting_ends_at_a_thousand(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    hang_pictures(owner=alice, model=offered_model, pictures=1001)
    page = list_wall_page(owner=alice, wall=WallFilter())
    assert (page.counted, page.is_more) == (1000, True)
    assert "1,000+" in as_alice.get("/gallery/").content.decode()


def test_pictures_of_the_bin_are_out_of_the_wall_and_of_its_neighbours(
    alice: User, offered_model: DiffusionModel
) -> None:
    older, binned, newer = (draw(alice, offered_model, prompt=p) for p in ("one", "two", "three"))
    age(binned, binned_at=1)
    assert show(alice) == ["three", "one"]
    assert show(alice, place="bin") == ["two"]
    assert get_neighbours(newer).older == older
    binned.refresh_from_db()
    assert get_neighbours(binned).older is None


def test_ten_thousand_pictures_cost_as_many_queries_as_sixty_on_any_page(
    as_alice: Client, alice: User, offered_model: DiffusionModel, django_assert_max_num_queries: Any
) -> None:
    hang_pictures(owner=alice, model=offered_model, pictures=PICTURES)
    address = "/gallery/"
    for _page in range(3):
        with django_assert_max_num_queries(MOST_QUERIES):
            html = as_alice.get(address).content.decode()
        assert html.count('class="tile') == PAGE_SIZE
        link = re.search(r'href="\?([^"]+)" data-next', html)
        assert link
        address = f"/gallery/?{link[1]}".replace("&amp;", "&")


def test_a_page_without_scripts_leads_on_and_selects(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    hang_pictures(owner=alice, model=offered_model, pictures=61)
    html = as_alice.get("/gallery/?q=light").content.decode()
    assert re.search(r'<a class="btn" href="\?q=light&amp;cursor=[^"]+" data-next>', html)
    assert html.count('type="checkbox" name="image"') == PAGE_SIZE
    assert 'formaction="/gallery/bin/"' in html
    assert '<input type="hidden" name="q" value="light">' in html


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/gallery/", "No images yet"),
        ("/gallery/?q=unicorn", "No matching images"),
        ("/gallery/?in=bin", "The bin is empty"),
        ("/gallery/?in=favourites", "No favourites yet"),
    ],
)
def test_a_place_with_nothing_in_it_says_what_to_do(
    as_alice: Client, address: str, words: str
) -> None:
    assert words in as_alice.get(address).content.decode()


@pytest.mark.parametrize(
    "query", ["in=elsewhere", "shape=round", "mode=magic", "from=yesterday", "to=2026-02-31"]
)
def test_a_filter_that_no_page_writes_is_refused_in_a_sentence(
    as_alice: Client, query: str
) -> None:
    response = as_alice.get(f"/gallery/?{query}")
    assert response.status_code == 400
    assert 'role="alert"' in response.content.decode()


@pytest.mark.parametrize("cursor", ["abc", "MjAyNg==", "MjAyNi0wMS0wMVQwMDowMDowMCBhYg=="])
def test_a_cursor_that_is_not_ours_is_refused(alice: User, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="Start again at the top"):
        list_wall_page(owner=alice, wall=WallFilter(), cursor=cursor)


def test_a_deleted_picture_leaves_nothing_on_the_wall(
    alice: User, offered_model: DiffusionModel
) -> None:
    gone = draw(alice, offered_model)
    services.delete_image(owner=alice, image_id=gone.pk)
    assert show(alice) == []


def test_a_strangers_collection_is_no_place(alice: User, bob: User) -> None:
    from webapp.gallery.collections import create_collection

    hers = create_collection(owner=alice, name="Foxes")
    with pytest.raises(NotFound):
        list_wall_page(owner=bob, wall=WallFilter(place=str(hers.pk)))


@pytest.mark.parametrize(
    "words", ["<script>alert(1)</script>", '" onload="x', "\ue000id\ue001 & co"]
)
def test_a_prompt_is_text_in_its_tile(
    as_alice: Client, alice: User, offered_model: DiffusionModel, words: str
) -> None:
    draw(alice, offered_model, prompt=words)
    html = as_alice.get("/gallery/").content.decode()
    assert f'alt="{escape(words)}"' in html
    assert f'aria-label="Select: {escape(words)}"' in html


def test_a_long_prompt_is_cut_in_its_tile(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    draw(alice, offered_model, prompt="x" * 500)
    assert f'alt="{"x" * 119}…"' in as_alice.get("/gallery/").content.decode()
