"""The one codec of cursors: where a page of a list begins that is sorted by a time and an id."""

import base64
import binascii
import uuid
from datetime import datetime

from webapp.core.digits import read_moment
from webapp.core.errors import InvalidInput
from webapp.core.texts import NO_SUCH_PAGE


def write_cursor(pk: uuid.UUID, when: datetime) -> str:
    """The cursor of the page behind the row with this id and time."""
    return base64.urlsafe_b64encode(f"{when.isoformat()} {pk.hex}".encode()).decode()


def read_cursor(text: str, *, field: str) -> tuple[datetime, uuid.UUID]:
    """The time and the id that `write_cursor` wrote; raises InvalidInput for any other text."""
    try:
        when, _space, pk = base64.urlsafe_b64decode(text.encode()).decode().partition(" ")
        return read_moment(when), uuid.UUID(hex=pk)
    except (ValueError, binascii.Error) as error:
        raise InvalidInput(NO_SUCH_PAGE, field=field) from error
