"""Every error that Darkroom answers a person with.

DarkroomError                   code, HTTP status and one safe sentence
├── InvalidInput          400   a field holds what is not allowed; `field` names it
├── Forbidden             403   the form's token is old, or the page is for others
├── NotFound              404   nothing there, or nothing of yours
├── NotAllowed            405   an address that is none to visit, only to send to
├── NotEnoughCredits      402   the account can't pay; `needed_ucr` and `available_ucr` say why
├── Conflict              409   the same key came with another body, or the state forbids it
├── TooMany               429   a limit of this studio is reached
└── Unavailable           503   a part that is needed does not answer
"""

from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

NOTHING_HERE = gettext_lazy(
    "Nothing was found here. It may have been deleted, or you may not have access."
)
NOT_FOR_YOU = gettext_lazy("You may not open this page.")


class DarkroomError(Exception):
    """The root; `sentence` is safe to show and says what is wrong and what is allowed."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, sentence: str | Promise) -> None:
        super().__init__(str(sentence))
        self.sentence = str(sentence)

    def as_dict(self) -> dict[str, str]:
        """`{"code": ..., "message": ...}` for JSON answers."""
        return {"code": self.code, "message": self.sentence}


class InvalidInput(DarkroomError):
    """A field holds what is not allowed; nothing was changed."""

    code = "invalid_input"
    status = 400

    def __init__(self, sentence: str | Promise, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field

    def as_dict(self) -> dict[str, str]:
        """As the root's, with the name of the field."""
        return {**super().as_dict(), "field": self.field}


class Forbidden(DarkroomError):
    """Known who asks, and still not allowed; nothing was changed."""

    code = "forbidden"
    status = 403

    def __init__(self, sentence: str | Promise = NOT_FOR_YOU) -> None:
        super().__init__(sentence)


class NotAllowed(DarkroomError):
    """The address is there, but not for this kind of request."""

    code = "not_allowed"
    status = 405


class NotFound(DarkroomError):
    """Nothing is there, or nothing of yours; both look the same to a stranger."""

    code = "not_found"
    status = 404

    def __init__(self, sentence: str | Promise = NOTHING_HERE) -> None:
        super().__init__(sentence)


class NotEnoughCredits(DarkroomError):
    """The account can't pay; nothing was held."""

    code = "not_enough_credits"
    status = 402

    def __init__(
        self, sentence: str | Promise, *, needed_ucr: int = 0, available_ucr: int = 0
    ) -> None:
        super().__init__(sentence)
        self.needed_ucr = needed_ucr
        self.available_ucr = available_ucr


class Conflict(DarkroomError):
    """The same key came with another body, or the state forbids what was asked."""

    code = "conflict"
    status = 409


class TooMany(DarkroomError):
    """A limit of this studio is reached; nothing was changed."""

    code = "too_many"
    status = 429


class Unavailable(DarkroomError):
    """A part that is needed does not answer; asking again later may work."""

    code = "unavailable"
    status = 503
