"""What the studio says while somebody waits, in the visitor's language: on the page (where an image
stands in the queue, the seconds left), and by its scripts, with the same sentences (`places.js`).
"""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.decoding import too_large
from webapp.generation.queueing.places import Place
from webapp.generation.request.checks import NO_STEP_LEFT, START_GONE
from webapp.generation.request.styles import STYLE_GONE
from webapp.generation.told import place_sentence, seconds_sentence

STAGES = {
    "loading": gettext_lazy("loading the model"),
    "encoding": gettext_lazy("reading the prompt"),
    "denoising": gettext_lazy("generating"),
    "decoding": gettext_lazy("finishing the image"),
}


def say_place(place: Place | None) -> str:
    """ "3rd in line"; "waiting" if nothing is known."""
    if place is None:
        return _("waiting")
    return _fill_in((place_sentence(place.number), place.number))


def say_wait(place: Place | None) -> str:
    """ "about 40 s"; "" if nobody measured."""
    return "" if place is None else _fill_in(seconds_sentence("about", place.seconds))


def say_left(seconds: float | None) -> str:
    """ "about 6 s left"; "" if it is not known yet."""
    return _fill_in(seconds_sentence("left", seconds))


def _fill_in(told: tuple[str, int | None] | None) -> str:
    return _waiting_strings()[told[0]].replace("{n}", str(told[1])) if told else ""


def shared_strings() -> dict[str, str]:
    """What the scripts of every page say, by key."""
    return {
        "offline": _("The studio is not responding. Try again in a moment."),
        "failed": _("That did not work. Please try again."),
        "undo": _("Undo"),
    }


def studio_strings() -> dict[str, str]:
    """Key to sentence; `{names}` are filled in by the script."""
    return {
        **_waiting_strings(),
        **shared_strings(),
        "step": _("step {step} of {steps}"),
        "stage_waiting": _("waiting"),
        "more_waiting_one": _("One more image is waiting."),
        "more_waiting": _("{count} more images are waiting."),
        **{f"stage_{name}": str(words) for name, words in STAGES.items()},
        "generate": _("Generate {count}"),
        "free": _("free"),
        "each": _("{amount} each"),
        "after": _("balance after {amount}"),
        "lacking": _("You need {amount} more credits. Ask an administrator."),
        "not_sent": _(
            "The studio is not responding. Nothing is lost: press Generate again in a moment."
        ),
        "back_again": _("The studio is responding again. Everything is up to date."),
        "signed_out": _("You are signed out. Sign in again, your prompt is kept."),
        "finished": _("({count}) finished"),
        "ready": _("Your image is ready"),
        "ready_many": _("{count} images are ready"),
        "sent_one": _("One image is being generated."),
        "sent": _("{count} images are being generated."),
        "arrived": _("An image is finished."),
        "ended_without": _("An image could not be finished. It was not charged."),
        "no_older_prompt": _("That was your oldest prompt."),
        "no_prompt_yet": _("The prompts that you use are kept here."),
        "no_such_prompt": _("None of your prompts contains these words."),
        "without": _("negative prompt: {words}"),
        "size_limits": _("{least} to {most} pixels, in steps of {grid}"),
        "style_gone": str(STYLE_GONE),
        "words_known": _("The model knows all of these words."),
        "words_unknown": _("The model doesn't know"),
        "words_unknown_said": _("The model doesn't know: {words}."),
        "words_more": _("and {count} more"),
        "words_nothing": _("The model can't draw any of this."),
        "words_replace": _("Replace {word} with {near}"),
        "words_replaced": _("Changed to {near}."),
        "words_add": _("Add {word} to the prompt"),
        "words_found": _("{count} found"),
        "lora_words": _("trigger words: {words}"),
        "lora_in": _("in the prompt"),
        **_start_strings(),
    }


def _waiting_strings() -> dict[str, str]:
    """Key to sentence, as `webapp.generation.told` names them."""
    return {
        "place_next": _("next in line"),
        "place_one": _("{n}st in line"),
        "place_two": _("{n}nd in line"),
        "place_few": _("{n}rd in line"),
        "place_other": _("{n}th in line"),
        "place_none": _("no worker uses this model now"),
        "about_s": _("about {n} s"),
        "about_min": _("about {n} min"),
        "about_h": _("about {n} h"),
        "left_s": _("about {n} s left"),
        "left_min": _("about {n} min left"),
        "left_h": _("about {n} h left"),
    }


def _start_strings() -> dict[str, str]:
    """Key to sentence; `{names}` are filled in by the script."""
    return {
        "start_too_large": too_large(size="{size}"),
        "start_gone": str(START_GONE),
        "start_added": _("This is now the start image."),
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
        "start_says_steps": _("{kept} of {steps} steps run."),
        "start_says_none": str(NO_STEP_LEFT),
        "mask_choose": _("Choose what to redraw"),
        "mask_change": _("Change what to redraw"),
        **_mask_strings(),
    }


def _mask_strings() -> dict[str, str]:
    """As above, of the editor alone."""
    return {
        "mask_empty": _("First paint over what should be redrawn."),
        # xgettext:no-python-format
        "mask_covered": _("{share} % will be redrawn"),
        "mask_cell_on": _("{x} % across, {y} % down: redrawn"),
        "mask_cell_off": _("{x} % across, {y} % down: kept"),
        # xgettext:no-python-format
        "mask_undone": _("Undone. {share} % will be redrawn."),
        # xgettext:no-python-format
        "mask_redone": _("Redone. {share} % will be redrawn."),
        # xgettext:no-python-format
        "mask_inverted": _("Inverted. {share} % will be redrawn."),
        "mask_cleared": _("Cleared. Everything is kept."),
        "mask_pixels": _("{size} px"),
        "mask_percent": _("{share} %"),
    }
