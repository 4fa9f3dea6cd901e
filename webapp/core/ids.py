"""The one reader of ids (UUIDs), for addresses, forms, JSON and the search fields of lists."""

import uuid

from django.utils.translation import gettext as _

from webapp.core.errors import InvalidInput


def find_id(value: object) -> uuid.UUID | None:
    """The id that a text writes; None if it writes none."""
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return None


def read_id(value: object, *, field: str) -> uuid.UUID:
    """The id of an image that a text writes; raises InvalidInput if it writes none."""
    found = find_id(value)
    if found is None:
        raise InvalidInput(_("That is not the id of an image."), field=field)
    return found


def read_optional_id(value: object, *, field: str) -> uuid.UUID | None:
    """As `read_id`; None if the field was left empty."""
    return read_id(value, field=field) if value else None
