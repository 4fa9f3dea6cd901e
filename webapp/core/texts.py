"""What is said in several rooms of what people write and choose."""

from collections.abc import Collection

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.errors import InvalidInput

SEEN_BY_ADMINISTRATORS = gettext_lazy("Only administrators see it.")
NO_SUCH_PAGE = gettext_lazy("That page does not exist. Start again at the top.")
_TOO_LONG = {
    "note": gettext_lazy("The note may have at most %(most)d characters."),
    "reason": gettext_lazy("The reason may have at most %(most)d characters."),
    "search": gettext_lazy("A search can have up to %(most)d characters."),
}


def too_long(what: str, *, most: int) -> str:
    """The sentence for a note, a reason or a search (`what`) of more than `most` characters."""
    return str(_TOO_LONG[what]) % {"most": most}


def check_length(text: str, what: str, *, most: int, field: str = "") -> None:
    """Raises InvalidInput for a text that is `too_long`; the field is `what` if none is named."""
    if len(text) > most:
        raise InvalidInput(too_long(what, most=most), field=field or what)


def check_text(text: str, *, field: str, most: int) -> None:
    """Raises InvalidInput for an empty text and a longer one."""
    if not 0 < len(text.strip()) <= most:
        sentence = _("Enter 1 to %(most)d characters.") % {"most": most}
        raise InvalidInput(sentence, field=field)


def read_choice(text: str, *, field: str, allowed: Collection[str]) -> str:
    """The text, which is one of those; raises InvalidInput, which lists them, for any other."""
    if text not in allowed:
        facts = {"field": field, "allowed": ", ".join(allowed)}
        raise InvalidInput(_("%(field)s can be one of: %(allowed)s.") % facts, field=field)
    return text
