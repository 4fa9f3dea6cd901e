"""LoRAs in prompts, as AUTOMATIC1111 writes them: `<lora:name:0.8>`, anywhere, and what it stands
for. The model is not told the tag's text.

A name counts as its slug does: `Add_Detail` is `add-detail`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.locations import kept_location
from webapp.catalog.models import LEAST_WEIGHT, MOST_WEIGHT, DiffusionModel, Lora
from webapp.catalog.selectors import is_for
from webapp.catalog.slugs import free_slug, slug_of
from webapp.core.digits import read_float
from webapp.core.errors import Conflict, InvalidInput, NotFound

MOST_LORAS: Final = 8
MOST_NAMED: Final = 12  # in a sentence that says what is on offer
TAG: Final = re.compile(r"<lora:([^<>:]*)((?::[^<>:]*)*)>", re.IGNORECASE)
AROUND: Final = re.compile(rf"\s*{TAG.pattern}", re.IGNORECASE)
CHUNK_BYTES: Final = 1 << 20
LENGTH_BYTES: Final = 8  # before the header of a safetensors file


@dataclass(frozen=True, slots=True)
class Worn:
    """A LoRA of a prompt. `location` is "" if it is gone from the catalog by now; `short_hash` is
    what other tools write beside its name."""

    slug: str
    weight: float
    location: str = ""
    short_hash: str = ""


def has_tags(prompt: str) -> bool:
    """Whether the prompt names a LoRA."""
    return TAG.search(prompt) is not None


def without_tags(prompt: str) -> str:
    """The prompt as the model is told it."""
    return AROUND.sub("", prompt).strip() if has_tags(prompt) else prompt


def blank_tags(prompt: str) -> str:
    """The same, with every other character where it was."""
    return TAG.sub(lambda tag: " " * len(tag[0]), prompt)


def read_tags(prompt: str) -> dict[str, float]:
    """Slug -> weight of each LoRA that the prompt names, 1 if it says none. Raises InvalidInput for
    a weight that is none, one that is named twice, and for too many."""
    found: dict[str, float] = {}
    for name, rest in TAG.findall(prompt):
        slug = slug_of(name)
        if slug in found:
            raise _refusal(_("The LoRA “%(name)s” stands twice in the prompt."), name=name)
        found[slug] = _weight(name, rest)
    if len(found) > MOST_LORAS:
        sentence = _("A prompt has %(count)d LoRAs; at most %(most)d are allowed.")
        raise _refusal(sentence, count=len(found), most=MOST_LORAS)
    return found


def check_loras(prompt: str, negative_prompt: str, *, model: DiffusionModel, user: User) -> None:
    """None if every LoRA of the prompt is on offer to the user and fits the model; raises
    InvalidInput otherwise, also for one in the negative prompt."""
    if has_tags(negative_prompt):
        sentence = _("A LoRA stands in the prompt, not in the negative prompt.")
        raise InvalidInput(sentence, field="negative_prompt")
    asked = read_tags(prompt)
    if not asked:
        return
    offered = [lora.slug for lora in list_loras_for(user=user) if lora.fits(model)]
    for slug in asked:
        if slug not in offered:
            raise _not_offered(slug, offered, model=model)


def list_loras_for(*, user: User) -> QuerySet[Lora]:
    """Those that are enabled, for everybody or for the user's group."""
    return Lora.objects.filter(is_for(user), enabled=True)


def worn_by(prompt: str) -> tuple[Worn, ...]:
    """The LoRAs of a prompt that was checked when it was asked for; none if it was asked for before
    tags counted, and they can't be read."""
    try:
        asked = read_tags(prompt)
    except InvalidInput:
        asked = {}
    if not asked:
        return ()
    known = {lora.slug: lora for lora in Lora.objects.filter(slug__in=asked)}
    return tuple(
        Worn(slug, weight, known[slug].path, known[slug].data_hash[:12])
        if slug in known
        else Worn(slug, weight)
        for slug, weight in asked.items()
    )


def add_lora(*, path: Path, found: dict[str, Any], slug: str = "", name: str = "") -> Lora:
    """The new row, off, for a file that the worker has looked at (`found`: what
    `worker.pipelines.inspect` says). Raises Conflict if its file or its weights are in the catalog
    already, or the slug is taken, and OSError if it can't be read."""
    location, data_hash = kept_location(path), hash_of_data(path)
    known = Lora.objects.filter(Q(location=location) | Q(data_hash=data_hash)).first()
    if known is not None:
        raise Conflict(_("It is in the catalog already, as %(slug)s.") % {"slug": known.slug})
    taken = set(Lora.objects.values_list("slug", flat=True))
    if slug in taken:
        raise Conflict(
            _("The slug “%(slug)s” is taken. Choose another one with --slug.") % {"slug": slug}
        )
    lora = Lora(
        # Prompts name it as its file is called, not by its title.
        slug=slug or free_slug((path.stem,), taken=taken, otherwise="lora"),
        name=(name or found["title"])[:100],
        family=found["family"],
        base=found["architecture"],
        location=location,
        trigger_words=", ".join(found.get("trigger_words") or ())[:400],
        licence=(found.get("licence") or "")[:120],
        data_hash=data_hash,
        size_bytes=path.stat().st_size,
    )
    lora.full_clean()
    lora.save()
    return lora


def find_lora(slug: str) -> Lora:
    """The LoRA of that slug, on offer or not; raises NotFound."""
    lora = Lora.objects.filter(slug=slug).first()
    if lora is None:
        raise NotFound(_("There is no LoRA “%(slug)s”.") % {"slug": slug})
    return lora


def offer_lora(*, slug: str, offered: bool) -> Lora:
    """The LoRA, on offer from now on, or not. Raises NotFound."""
    lora = find_lora(slug)
    Lora.objects.filter(pk=lora.pk).update(enabled=offered)
    return find_lora(slug)


def hash_of_data(path: Path) -> str:
    """SHA-256 of a safetensors file behind its header, which stays the same if only what the header
    says of it changes. Raises OSError if it can't be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(LENGTH_BYTES + int.from_bytes(file.read(LENGTH_BYTES), "little"))
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _weight(name: str, rest: str) -> float:
    said = rest.removeprefix(":")
    try:
        weight = read_float(said) if said else 1.0
    except ValueError:
        weight = MOST_WEIGHT + 1
    if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        sentence = _(
            "The weight of the LoRA “%(name)s” must be a number from %(least)g to %(most)g."
        )
        raise _refusal(sentence, name=name, least=LEAST_WEIGHT, most=MOST_WEIGHT)
    return weight


def _not_offered(slug: str, offered: Sequence[str], *, model: DiffusionModel) -> InvalidInput:
    names = sorted(offered)
    shown = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
    return _refusal(
        _("There is no LoRA “%(name)s” for %(model)s. On offer: %(offered)s."),
        name=slug,
        model=model.name,
        offered=shown or _("none yet"),
    )


def _refusal(sentence: str, **facts: Any) -> InvalidInput:
    if "name" in facts:
        facts["name"] = str(facts["name"])[:64]
    return InvalidInput(sentence % facts, field="prompt")
