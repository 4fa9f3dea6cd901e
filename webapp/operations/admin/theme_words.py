"""The words of django-unfold, which brings no other language: listed, so that they are collected
with the studio's own and translated there."""

from django.utils.translation import gettext_noop as _

THEME_WORDS = (
    _("Add row"),
    _("Apply Filters"),
    _("Date"),
    _("Expand row"),
    _("False"),
    _("Filters"),
    _("General"),
    _("Go back"),
    _("More actions"),
    _("Return to site"),
    _("Run"),
    _("Select action"),
    _("Select action to run"),
    _("Select all rows"),
    _("Select record"),
    _("Select value"),
    _("Sorting priority: %(priority_number)s"),
    _("This item will be deleted."),
    _("Toggle password visibility"),
    _("True"),
)
