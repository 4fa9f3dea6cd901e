"""The sentences that the gallery's scripts say, in the visitor's language."""

from django.utils.translation import gettext as _


def gallery_strings() -> dict[str, str]:
    """Key to sentence; `{names}` are filled in by the script."""
    return {
        "offline": _("The studio is not responding. Try again in a moment."),
        "signed_out": _("You are signed out. Reload the page and sign in."),
        "failed": _("That did not work. Please try again."),
        "selected_one": _("1 selected"),
        "selected": _("{count} selected"),
        "undo": _("Undo"),
        "restored": _("Everything is back where it was."),
        "copied": _("Copied."),
        "favourite": _("Favourite"),
        "no_favourite": _("Remove from favourites"),
        "zip_most": _("At most {most} images fit into one zip. Select fewer."),
    }
