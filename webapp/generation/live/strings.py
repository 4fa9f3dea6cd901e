"""The sentences that the studio's scripts say, in the visitor's language."""

from django.utils.translation import gettext as _

from webapp.generation.live.start_strings import start_strings
from webapp.generation.live.waiting import waiting_strings


def studio_strings() -> dict[str, str]:
    """Key to sentence; `{names}` are filled in by the script."""
    return waiting_strings() | {
        "step": _("step {step} of {steps}"),
        "stage_waiting": _("waiting"),
        "stage_loading": _("loading the model"),
        "stage_encoding": _("reading the prompt"),
        "stage_denoising": _("developing"),
        "stage_decoding": _("finishing the image"),
        "generate": _("Generate {count}"),
        "free": _("free"),
        "each": _("{amount} each"),
        "after": _("balance after {amount}"),
        "lacking": _("You need {amount} more credits. Ask an administrator."),
        "offline": _("The studio does not answer. Try again in a moment."),
        "not_sent": _("The studio does not answer. Nothing is lost: press Generate again soon."),
        "back_again": _("The studio answers again. Everything is up to date."),
        "signed_out": _("You are signed out. Sign in again, your prompt is kept."),
        "failed": _("That did not work. Please try again."),
        "finished": _("({count}) finished"),
        "ready": _("Your image is ready"),
        "ready_many": _("{count} images are ready"),
        "undo": _("Undo"),
        "sent_one": _("One image is on its way."),
        "sent": _("{count} images are on their way."),
        "arrived": _("An image is finished."),
        "ended_without": _("An image could not be finished. It was not charged."),
        "no_older_prompt": _("That was the oldest one."),
        "no_prompt_yet": _("The prompts you draw with are kept here."),
        "no_such_prompt": _("No prompt of yours has these words."),
        "without": _("without: {words}"),
        "size_limits": _("{least} to {most} pixels, in steps of {grid}"),
        "style_gone": _("{model} has no style {style}: none is chosen now."),
        "words_known": _("It knows all of these words."),
        "words_unknown": _("It doesn't know"),
        "words_unknown_said": _("It doesn't know: {words}."),
        "words_more": _("and {count} more"),
        "words_nothing": _("It can't draw any of this."),
        "words_replace": _("Replace {word} with {near}"),
        "words_replaced": _("Changed to {near}."),
        "words_add": _("Add {word} to the prompt"),
        "words_found": _("{count} found"),
        **start_strings(),
    }
