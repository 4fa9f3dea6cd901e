"""Taking a model's vocabulary out of its folder and into the database.

A model whose vocabulary is wrong is not added: whoever adds it is at the keyboard and can mend the
file, and would else get a model that draws anything for any word without a warning. A model that is
in the catalog already goes on with what it had, since people are drawing with it, and the sentence
stands on its page in the admin site until the file is right.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel, ModelVocabulary
from webapp.catalog.vocabulary import FILE_NAME, MOST_BYTES, Vocabulary, parse_vocabulary
from webapp.catalog.vocabulary_reading import refuse
from webapp.catalog.vocabulary_selectors import tell_count
from webapp.core.errors import InvalidInput

INDEX = "model_index.json"


def folder_of(path: Path) -> Path:
    """The folder with a model's index: a single file has its own beside it."""
    return path.with_suffix(".config") if path.is_file() else path


def read_vocabulary(path: Path) -> bytes | None:
    """The bytes of the vocabulary of the model at `path`, checked; None if it has none. Raises
    InvalidInput, with what is wrong, for a file that can't be read, or says what it must not."""
    file = folder_of(path) / FILE_NAME
    try:
        if not file.exists():
            return None
        if not file.is_file():
            raise refuse(_("It is not a file."))
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise refuse(_("It can't be read: %(why)s.") % {"why": error.strerror}) from error
    parse_vocabulary(raw)
    return raw


def keep_vocabulary(*, model: DiffusionModel, raw: bytes | None) -> bool:
    """Keeps what `read_vocabulary` read for the model, and forgets a problem. True if that is
    another vocabulary than before, or none any more.

    If it names sizes, the model's limits let all of them pass from then on, and its usual size is
    one of them. Raises InvalidInput for sizes that are off the model's grid.
    """
    vocabulary = parse_vocabulary(raw) if raw is not None else None
    body = json.dumps(json.loads(raw), ensure_ascii=False) if raw is not None else ""
    changes = _sizes_admitted(model, vocabulary)
    with transaction.atomic():
        before = ModelVocabulary.objects.select_for_update().filter(model=model).first()
        names = (before.style_names if before else {}) | _style_names(vocabulary)
        digest = _digest(body, names) if body or names else ""
        if before or digest:
            facts = {"digest": digest, "body": body, "style_names": names}
            ModelVocabulary.objects.update_or_create(model=model, defaults=facts)
        changes |= {"vocabulary_digest": digest, "vocabulary_problem": ""}
        DiffusionModel.objects.filter(pk=model.pk).update(**changes)
    return (before.body if before else "") != body


def refresh_vocabulary(*, model: DiffusionModel) -> str:
    """Reads the vocabulary of a model of the catalog again, if its files are on this machine.
    Returns a sentence for whoever looks after the studio; "" if nothing changed. A file that is
    wrong is told in the sentence and on the model's page, and the vocabulary of before stays."""
    path = Path(model.path)
    if not model.path or not (folder_of(path) / INDEX).is_file():
        return ""
    try:
        changed = keep_vocabulary(model=model, raw=read_vocabulary(path))
    except InvalidInput as error:
        DiffusionModel.objects.filter(pk=model.pk).update(vocabulary_problem=error.sentence)
        return f"{model.name}: {error.sentence}"
    return f"{model.name}: {describe_vocabulary(model)}" if changed else ""


def refresh_vocabularies() -> list[str]:
    """What `refresh_vocabulary` says of every model, without those of which it says nothing."""
    told = (refresh_vocabulary(model=model) for model in DiffusionModel.objects.all())
    return [sentence for sentence in told if sentence]


def describe_vocabulary(model: DiffusionModel) -> str:
    """In a sentence what the model knows, by what is in the database now."""
    body = ModelVocabulary.objects.filter(model=model).values_list("body", flat=True).first()
    if not body:
        return _("It has no vocabulary: people may ask it for anything.")
    return tell_count(parse_vocabulary(body.encode()))


def _sizes_admitted(model: DiffusionModel, vocabulary: Vocabulary | None) -> dict[str, Any]:
    """The model's fields that change so that it can be asked for every size that it names."""
    sizes = vocabulary.sizes if vocabulary else None
    if not sizes:
        return {}
    sides = [side for size in sizes for side in size]
    if any(side % model.side_multiple_px for side in sides):
        sentence = _("“sizes” must be multiples of %(grid)d pixels for this model.")
        raise refuse(sentence % {"grid": model.side_multiple_px})
    usual = (model.width_px, model.height_px)
    width_px, height_px = usual if usual in sizes else sizes[0]
    return {
        "width_px": width_px,
        "height_px": height_px,
        "min_side_px": min(model.min_side_px, *sides),
        "max_side_px": max(model.max_side_px, *sides),
        "max_pixels": max(model.max_pixels, *(width * height for width, height in sizes)),
    }


def _style_names(vocabulary: Vocabulary | None) -> dict[str, dict[str, str]]:
    styles = (vocabulary.styles if vocabulary else None) or ()
    return {style.slug: dict(style.names) for style in styles}


def _digest(body: str, names: dict[str, dict[str, str]]) -> str:
    return hashlib.sha256(json.dumps([body, names], sort_keys=True).encode()).hexdigest()
