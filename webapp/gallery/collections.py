"""Collections: named sets of one person's images. Deleting one leaves the images alone."""

import uuid
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, Q, Subquery
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, NotFound, TooMany
from webapp.gallery.models import Collection, CollectionItem
from webapp.gallery.selectors import get_collection
from webapp.generation.models import Image

NAME_MOST = 80
COLLECTIONS_MOST = 500


@dataclass(frozen=True, slots=True)
class Shelf:
    """A collection as the list of them shows it: how many images it has outside the bin, and
    the newest of them, or None."""

    collection: Collection
    images: int
    cover: Image | None


def create_collection(*, owner: User, name: str) -> Collection:
    """The new, empty collection. Raises InvalidInput for a name that is empty or too long,
    Conflict if the owner has one of that name, and TooMany beyond 500 collections."""
    name = _check_name(name)
    if Collection.objects.filter(owner=owner).count() >= COLLECTIONS_MOST:
        sentence = _("You can have up to %(most)d collections.")
        raise TooMany(sentence % {"most": COLLECTIONS_MOST})
    try:
        with transaction.atomic():
            return Collection.objects.create(owner=owner, name=name)
    except IntegrityError as error:
        raise _taken(name) from error


def rename_collection(*, owner: User, collection_id: uuid.UUID, name: str) -> None:
    """Gives it another name. Raises NotFound, and as create_collection does for the name."""
    collection = get_collection(owner=owner, collection_id=collection_id)
    name = _check_name(name)
    try:
        with transaction.atomic():
            renamed = Collection.objects.filter(pk=collection.pk).update(name=name)
    except IntegrityError as error:
        raise _taken(name) from error
    if not renamed:
        raise NotFound


def delete_collection(*, owner: User, collection_id: uuid.UUID) -> None:
    """Deletes the collection; its images stay in the gallery. Raises NotFound."""
    with transaction.atomic():
        mine = Collection.objects.select_for_update().filter(owner=owner, pk=collection_id)
        collection = mine.first()
        if collection is None:
            raise NotFound
        collection.delete()


def list_shelves(*, owner: User) -> list[Shelf]:
    """The owner's collections by name."""
    items = CollectionItem.objects.filter(collection=OuterRef("pk"), image__binned_at=None)
    newest = items.order_by("-finished_at", "-image").values("image")[:1]
    shown = Count("items", filter=Q(items__image__binned_at=None))
    collections = Collection.objects.filter(owner=owner).annotate(
        shown=shown, cover_id=Subquery(newest)
    )
    found = list(collections.order_by("name"))
    ids = [one.cover_id for one in found]
    covers = Image.objects.select_related("generation").in_bulk([pk for pk in ids if pk])
    return [Shelf(one, one.shown, covers.get(one.cover_id)) for one in found]


def list_holding(*, image: Image) -> set[uuid.UUID]:
    """The ids of the collections that the image is in."""
    items = CollectionItem.objects.filter(image=image)
    return set(items.values_list("collection_id", flat=True))


def _check_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > NAME_MOST or not name.isprintable():
        sentence = _("A collection's name can have 1 to %(most)d characters.")
        raise InvalidInput(sentence % {"most": NAME_MOST}, field="name")
    return name


def _taken(name: str) -> Conflict:
    sentence = _("You have a collection called %(name)s already.")
    return Conflict(sentence % {"name": name})
