"""Finding people among a hundred thousand, through the index of their addresses."""

from django.db.models import QuerySet

from webapp.accounts.models import User

MOST_ACCOUNTS = 100


def find_people(people: "QuerySet[User]", term: str) -> "QuerySet[User]":
    """Those whose address begins with the term; with an @ in front, those of that domain (or the
    beginning of it)."""
    typed = term.strip().lower()
    if typed.startswith("@"):
        return people.filter(email__contains=typed)
    return people.filter(email__startswith=typed)


def accounts_of(term: str) -> list[int]:
    """The ids of the accounts of the first people (at most a hundred) whom the term finds."""
    found = find_people(User.objects.all(), term).order_by("email")
    ids = list(found.values_list("account__pk", flat=True)[:MOST_ACCOUNTS])
    return [pk for pk in ids if pk is not None]
