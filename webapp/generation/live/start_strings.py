"""The sentences of the start picture and of the mask editor, for the studio's scripts."""

from django.utils.translation import gettext as _


def start_strings() -> dict[str, str]:
    """Key to sentence; `{names}` are filled in by the script."""
    return {
        "start_too_large": _("The image is larger than 20 MB. Choose a smaller one."),
        "start_gone": _("The start image is not kept any more. Choose it again."),
        "start_added": _("The image is the start now."),
        "start_size": _("{width} × {height}"),
        "start_sending": _("Sending the image"),
        "start_reading": _("Reading the image"),
        "start_says_least": _("Only the finest details may change."),
        "start_says_little": _("Details may change; shapes and colours stay."),
        "start_says_half": _("About half of the image may change."),
        "start_says_much": _("Most of the image may change; its layout stays."),
        "start_says_most": _("Nearly everything may change; a hint of the image stays."),
        "start_says_all": _("Everything may change: it begins from noise."),
        "start_says_painted": _("Only what is painted may change."),
        "start_says_steps": _("{kept} of {steps} steps draw."),
        "start_says_none": _("At this strength none of the {steps} steps is left: raise either."),
        "mask_choose": _("Choose what to redraw"),
        "mask_change": _("Change what to redraw"),
        **mask_strings(),
    }


def mask_strings() -> dict[str, str]:
    """As above, of the editor alone."""
    return {
        "mask_empty": _("Paint over what should be drawn anew first."),
        # xgettext:no-python-format
        "mask_covered": _("{share} % is drawn anew"),
        "mask_cell_on": _("{x} % across, {y} % down: drawn anew"),
        "mask_cell_off": _("{x} % across, {y} % down: kept"),
        # xgettext:no-python-format
        "mask_undone": _("Undone. {share} % is drawn anew."),
        # xgettext:no-python-format
        "mask_redone": _("Done again. {share} % is drawn anew."),
        # xgettext:no-python-format
        "mask_inverted": _("Inverted. {share} % is drawn anew."),
        "mask_cleared": _("Cleared. Everything is kept."),
        "mask_pixels": _("{size} px"),
        "mask_percent": _("{share} %"),
    }
