"""The sentences that the gallery's scripts say, in the visitor's language."""

from django.utils.translation import gettext as _

from webapp.gallery.downloads import ZIP_MOST
from webapp.generation.live.strings import shared_strings


def gallery_strings() -> dict[str, str]:
    """Key to sentence; `{names}` are filled in by the script."""
    return {
        **shared_strings(),
        "signed_out": _("You are signed out. Reload the page and sign in."),
        "selected_one": _("1 selected"),
        "selected": _("{count} selected"),
        "restored": _("Everything is back where it was."),
        "copied": _("Copied."),
        "favourite": _("Favourite"),
        "no_favourite": _("Remove from favourites"),
        "zip_most": str(ZIP_MOST),
    }
