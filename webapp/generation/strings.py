"""The sentences that the studio's scripts say, in the visitor's language."""

from django.utils.translation import gettext as _


def studio_strings() -> dict[str, str]:
    """Key to sentence; `{names}` are filled in by the script."""
    return {
        "step": _("step {step} of {steps}"),
        "stage_waiting": _("waiting"),
        "stage_loading": _("loading the model"),
        "stage_encoding": _("reading the prompt"),
        "stage_denoising": _("developing"),
        "stage_decoding": _("fixing the picture"),
        "generate": _("Generate {count}"),
        "free": _("free"),
        "each": _("{amount} each"),
        "after": _("balance after {amount}"),
        "lacking": _("{amount} credits are lacking: ask an administrator to top up"),
        "offline": _("The studio does not answer. Trying again…"),
        "signed_out": _("You are signed out. Sign in again, your prompt is kept."),
        "failed": _("That did not work. Please try again."),
        "finished": _("({count}) finished"),
        "sent_one": _("One picture is on its way."),
        "sent": _("{count} pictures are on their way."),
        "arrived": _("A picture is finished."),
        "ended_without": _("A picture could not be finished. It was not charged."),
    }


def prompt_ideas() -> list[str]:
    """Prompts for somebody who does not know where to begin."""
    return [
        _("a fox at dusk, storybook illustration"),
        _("an octopus under the sea, glossy 3d style"),
        _("a small house with a garden, morning fog"),
        _("a rocket flying past the moon"),
        _("an owl on a branch, soft light"),
        _("a cup of green tea, clay style"),
    ]
