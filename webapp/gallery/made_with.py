"""What an image was made with, line by line, as its page says it."""

from dataclasses import dataclass, replace

from django.utils.functional import Promise

from webapp.generation.models import Image
from webapp.generation.request.spec import FIELDS, is_idle, spec_of


@dataclass(frozen=True, slots=True)
class Fact:
    """A line: its `label`, and its value in words or the `template` that shows it."""

    label: Promise
    words: str
    template: str


def read_facts(image: Image) -> list[Fact]:
    """Those of the request's fields that say something of this image, in their order."""
    facts, model = [], image.generation.model
    asked = replace(spec_of(image.generation), seed=image.seed)
    for one in FIELDS:
        value = getattr(asked, one.attribute)
        words = "" if is_idle(one.attribute, value) else one.say(value, model=model)
        if one.line and words:
            facts.append(Fact(one.line.label or one.label, words, one.line.template))
    return facts
