"""Collections: named sets of one person's images."""

import uuid

import pytest
from django.test import Client

from tests.gallery.pictures import age, draw, put_into, show
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import Conflict, InvalidInput, NotFound, TooMany
from webapp.gallery import collections as services
from webapp.gallery.collections import create_collection, list_shelves
from webapp.gallery.models import Collection
from webapp.generation.models import Image

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]

JSON = {"Accept": "application/json"}


def test_a_picture_may_be_in_several_and_once_in_each(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    foxes, dusk = (create_collection(owner=alice, name=name) for name in ("Foxes", "Dusk"))
    for wanted in (foxes, dusk):
        fields = {"image": str(image.pk), "collection": str(wanted.pk)}
        assert as_alice.post("/gallery/collecting/", fields, headers=JSON).json()["changed"] == 1
        assert as_alice.post("/gallery/collecting/", fields, headers=JSON).json()["changed"] == 0
        assert show(alice, place=str(wanted.pk)) == ["a fox at dusk"]
    fields = {"image": str(image.pk), "collection": str(foxes.pk)}
    assert as_alice.post("/gallery/uncollecting/", fields, headers=JSON).json()["changed"] == 1
    assert show(alice, place=str(foxes.pk)) == []
    assert show(alice, place=str(dusk.pk)) == show(alice) == ["a fox at dusk"]


def test_all_of_a_search_goes_into_a_new_collection_at_once(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    from django.utils import timezone

    draw(alice, offered_model, prompt="a fox")
    draw(alice, offered_model, prompt="an owl")
    fields = {"name": "Foxes", "all": "1", "q": "fox", "seen": timezone.now().isoformat()}
    answer = as_alice.post("/collections/", fields, headers=JSON).json()
    assert show(alice, place=answer["id"]) == ["a fox"]


def test_no_collection_is_made_where_its_pictures_cannot_be_added(as_alice: Client) -> None:
    fields = {"name": "Foxes", "image": str(uuid.uuid4())}
    assert as_alice.post("/collections/", fields, headers=JSON).status_code == 404
    assert not Collection.objects.exists()


def test_the_order_is_that_of_the_wall_and_the_bin_hides(
    alice: User, as_alice: Client, offered_model: DiffusionModel
) -> None:
    foxes = create_collection(owner=alice, name="Foxes")
    images = [draw(alice, offered_model, prompt=prompt) for prompt in ("one", "two", "three")]
    for image in (images[2], images[0], images[1]):
        fields = {"image": str(image.pk), "collection": str(foxes.pk)}
        as_alice.post("/gallery/collecting/", fields)
    assert show(alice, place=str(foxes.pk)) == ["three", "two", "one"]
    age(images[2], binned_at=1)
    assert show(alice, place=str(foxes.pk)) == ["two", "one"]
    shelf = list_shelves(owner=alice)[0]
    assert (shelf.images, shelf.cover) == (2, images[1])
    html = as_alice.get("/collections/").content.decode()
    assert "2 images" in html
    assert f"/images/{images[1].pk}/thumbnail/" in html


def test_renaming_and_deleting_leave_the_pictures_alone(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    foxes = create_collection(owner=alice, name="Foxes")
    put_into(foxes, image)
    as_alice.post(f"/collections/{foxes.pk}/name/", {"name": "  Red   foxes "})
    foxes.refresh_from_db()
    assert foxes.name == "Red foxes"
    response = as_alice.post(f"/collections/{foxes.pk}/deletion/")
    assert response["Location"] == "/collections/"
    assert show(alice) == ["a fox at dusk"]
    assert not Collection.objects.exists()


def test_names_are_ones_own_once_and_have_letters(alice: User, bob: User) -> None:
    create_collection(owner=alice, name="Foxes")
    owls = create_collection(owner=alice, name="Owls")
    create_collection(owner=bob, name="Foxes")
    with pytest.raises(Conflict, match="Foxes already"):
        create_collection(owner=alice, name=" Foxes")
    with pytest.raises(Conflict, match="Foxes already"):
        services.rename_collection(owner=alice, collection_id=owls.pk, name="Foxes")
    for name in ("", "  ", "x" * 81, "a\0b"):
        with pytest.raises(InvalidInput, match="1 to 80"):
            create_collection(owner=alice, name=name)


def test_there_is_an_end_of_collections(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "COLLECTIONS_MOST", 1)
    create_collection(owner=alice, name="Foxes")
    with pytest.raises(TooMany):
        create_collection(owner=alice, name="Owls")


def test_a_refused_name_comes_back_with_its_sentence(as_alice: Client, alice: User) -> None:
    create_collection(owner=alice, name="Foxes")
    response = as_alice.post("/collections/", {"name": "Foxes"})
    assert response.status_code == 409
    html = response.content.decode()
    assert 'value="Foxes"' in html
    assert "called Foxes already" in html


def test_another_persons_collection_is_not_there(
    as_bob: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    hers, his = draw(alice, offered_model), draw(bob, offered_model)
    foxes = create_collection(owner=alice, name="Foxes")
    put_into(foxes, hers)
    mine = create_collection(owner=bob, name="Mine")
    assert as_bob.get(f"/gallery/?in={foxes.pk}").status_code == 404
    for path in (f"/collections/{foxes.pk}/name/", f"/collections/{foxes.pk}/deletion/"):
        assert as_bob.post(path, {"name": "Bob's"}).status_code == 404
    for path in ("/gallery/collecting/", "/gallery/uncollecting/"):
        fields = {"image": str(his.pk), "collection": str(foxes.pk)}
        assert as_bob.post(path, fields).status_code == 404
        fields = {"image": str(hers.pk), "collection": str(mine.pk)}
        assert as_bob.post(path, fields).status_code == 404
        assert as_bob.post(path, {"image": str(his.pk), "collection": "bin"}).status_code == 400
    foxes.refresh_from_db()
    assert (foxes.name, foxes.items.count()) == ("Foxes", 1)
    with pytest.raises(NotFound):
        services.delete_collection(owner=bob, collection_id=foxes.pk)
    assert Image.objects.count() == 2
