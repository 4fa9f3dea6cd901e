"""Everything that changes the catalog."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from webapp.catalog import slugs
from webapp.catalog.architectures import ARCHITECTURES, OTHER
from webapp.catalog.defaults import begins_with
from webapp.catalog.locations import kept_location
from webapp.catalog.manifests import keep_manifest, take_manifest
from webapp.catalog.models import DiffusionModel, ModelManifest
from webapp.catalog.vocabulary_services import (
    keep_vocabulary,
    read_vocabulary,
    refresh_vocabulary,
)
from webapp.core import audit
from webapp.core.errors import Conflict, InvalidInput, NotFound

LARGEST_TO_USUAL = 2
SMALLEST_SIDE_PX = 64
LARGEST_SIDE_PX = 4096
STARTER_SLUG = "starter"
# What the built-in model was trained for, and what its figures were measured with.
STARTER: dict[str, Any] = {
    "name": "Darkroom Starter",
    "summary": "Icons and small scenes, drawn in a moment on any machine.",
    "licence": "Apache-2.0",
    "family": "sd",
    "base": STARTER_SLUG,  # no LoRA of others was trained for it
    "width_px": 128,
    "height_px": 128,
    "min_side_px": 96,
    "max_side_px": 192,
    "max_pixels": 192 * 128,
    "steps": 20,
    "guidance_scale": 2.0,
    "sampler": "ddim",
    "max_steps": 100,
}


def get_model(*, slug: str) -> DiffusionModel:
    """The model of that slug, on offer or not; raises NotFound."""
    model = DiffusionModel.objects.filter(slug=slug).first()
    if model is None:
        raise NotFound(_("There is no model “%(slug)s”.") % {"slug": slug})
    return model


def get_hub_model(*, slug: str) -> DiffusionModel:
    """The hub model of that slug; raises NotFound, or Conflict if it needs no download."""
    model = get_model(slug=slug)
    if model.source != DiffusionModel.Source.HUB:
        raise Conflict(_("%(name)s is on this machine already.") % {"name": model.name})
    return model


def find_model_at(path: Path) -> DiffusionModel | None:
    """The model whose files lie there on this host, by whatever name; None if none's do."""
    place = path.resolve()
    models = DiffusionModel.objects.exclude(source=DiffusionModel.Source.HUB, installed_path="")
    return next((one for one in models if Path(one.path).resolve() == place), None)


def add_local_model(
    *,
    path: Path,
    found: dict[str, Any],
    slug: str = "",
    name: str = "",
    summary: str = "",
    family: str = "",
    side_px: int = 0,
    steps: int = 0,
) -> DiffusionModel:
    """The new row, off, for a folder or file that the worker has looked at (`found`: what
    `worker.pipelines.inspect` says, and the `defaults` of one that no adapter knows), with its
    vocabulary, if it carries one. Raises Conflict if it is in the catalog already, InvalidInput
    for a vocabulary that will not do, and OSError if a file can't be read."""
    known = find_model_at(path)
    if known is not None:
        raise Conflict(_("It is in the catalog already, as %(slug)s.") % {"slug": known.slug})
    raw = read_vocabulary(path)
    manifest = take_manifest(path)
    with transaction.atomic():
        model = _add(
            source=DiffusionModel.Source(found["form"]),
            location=kept_location(path),
            slug=slug or slugs.slug_of(found["title"]),
            name=name or found["title"],
            summary=summary,
            licence=found.get("licence", ""),
            family=family or found["family"],
            side_px=side_px or found.get("native_size_px") or 0,
            steps=steps,
            found=found,
        )
        keep_vocabulary(model=model, raw=raw)
        keep_manifest(model=model, manifest=manifest)
    return get_model(slug=model.slug)


def free_slug(*, title: str, path: Path) -> str:
    """A slug that no model has, of a title or else of a file's name, with a number if need be."""
    taken = set(DiffusionModel.objects.values_list("slug", flat=True))
    return slugs.free_slug((title, path.stem), taken=taken, otherwise="model")


def find_same_files(manifest: Mapping[str, str]) -> DiffusionModel | None:
    """A model of the catalog with the same files, wherever they lie and whatever they are called;
    None if none has them."""
    digests = sorted(manifest.values())
    for kept in ModelManifest.objects.select_related("model"):
        if sorted(kept.files.values()) == digests:
            return kept.model
    return None


def keep_location_anew(*, model: DiffusionModel, path: Path) -> bool:
    """Keeps where the model's files lie, as it is kept now: of before may be a path of one host
    alone. True if that is another location."""
    column = "installed_path" if model.source == DiffusionModel.Source.HUB else "location"
    kept = {column: kept_location(path)}
    return bool(DiffusionModel.objects.filter(pk=model.pk).exclude(**kept).update(**kept))


def offer_starter_model(*, path: Path) -> bool:
    """Puts the built-in model at `path` on offer, as the default if no other model is.

    True if it is new. A row that is there follows what this version says of the model, but for
    what an administrator changed. Nothing happens if `path` holds no model. Raises InvalidInput
    if it is new and its vocabulary will not do.
    """
    if not (path / "model_index.json").is_file():
        return False
    known = DiffusionModel.objects.filter(slug=STARTER_SLUG).first()
    if known is not None:
        _refresh_starter(known, path=path)
        return False
    raw = read_vocabulary(path)
    with transaction.atomic():
        model = DiffusionModel.objects.create(
            slug=STARTER_SLUG,
            source=DiffusionModel.Source.FOLDER,
            location=kept_location(path),
            **STARTER,
        )
        keep_vocabulary(model=model, raw=raw)
    enable_model(slug=STARTER_SLUG)
    return True


def _refresh_starter(known: DiffusionModel, *, path: Path) -> None:
    """Other weights have other figures, and the studio may have moved."""
    row = DiffusionModel.objects.filter(pk=known.pk)
    location = kept_location(path)
    row.exclude(location=location).update(location=location, problem="")
    kept = audit.changed_fields(known)
    figures = {name: value for name, value in STARTER.items() if name not in kept}
    row.exclude(**figures).update(**figures)


def add_hub_model(
    *, hub_id: str, slug: str, name: str, family: str, side_px: int = 0, steps: int = 0
) -> DiffusionModel:
    """The new row, off and not downloaded, for a hub id. Raises InvalidInput for an id or family
    that will not do, Conflict for a slug that is taken."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", hub_id):
        sentence = _("“%(id)s” is neither a folder or file here nor a hub id such as owner/name.")
        raise InvalidInput(sentence % {"id": hub_id}, field="location")
    if not family:
        raise InvalidInput(
            _("Name the family: --family %(families)s.")
            % {"families": "|".join(slug for slug in ARCHITECTURES if slug != OTHER)},
            field="family",
        )
    if family == OTHER:
        sentence = _(
            "A model of another architecture is checked before it is added. Download it with "
            "python -m worker.pipelines.download fetch %(id)s --into FOLDER, then add that "
            "folder: manage.py models add FOLDER"
        )
        raise InvalidInput(sentence % {"id": hub_id}, field="family")
    return _add(
        source=DiffusionModel.Source.HUB,
        location=hub_id,
        slug=slug or slugs.slug_of(hub_id.partition("/")[2]),
        name=name or hub_id.partition("/")[2],
        family=family,
        side_px=side_px,
        steps=steps,
    )


def mark_downloaded(*, slug: str, path: Path, revision: str) -> DiffusionModel:
    """Writes down where a hub model's files lie now, of which commit they are and which they are,
    and takes in its vocabulary, if it carries one (`vocabulary_problem` says what is wrong with
    it). Raises as `get_hub_model`, and OSError if a file can't be read."""
    model = get_hub_model(slug=slug)
    manifest = take_manifest(path)
    with transaction.atomic():
        DiffusionModel.objects.filter(pk=model.pk).update(
            installed_path=kept_location(path), revision=revision, problem=""
        )
        keep_manifest(model=model, manifest=manifest)
    refresh_vocabulary(model=get_model(slug=slug))
    return get_model(slug=slug)


def enable_model(*, slug: str, default: bool = False) -> DiffusionModel:
    """Offers the model, and chooses it at first if `default`, or if none is yet.

    Raises NotFound, or Conflict if its files are not here."""
    model = get_model(slug=slug)
    if not model.is_installed:
        sentence = _("%(name)s is not downloaded: manage.py models download %(slug)s")
        raise Conflict(sentence % {"name": model.name, "slug": slug})
    with transaction.atomic():
        if default or not DiffusionModel.objects.filter(is_default=True, enabled=True).exists():
            DiffusionModel.objects.filter(is_default=True).update(is_default=False)
            DiffusionModel.objects.filter(pk=model.pk).update(is_default=True)
        DiffusionModel.objects.filter(pk=model.pk).update(enabled=True, problem="")
    return get_model(slug=slug)


def disable_model(*, slug: str) -> DiffusionModel:
    """Takes the model off the offer; what is queued for it is still drawn. Raises NotFound."""
    model = get_model(slug=slug)
    DiffusionModel.objects.filter(pk=model.pk).update(enabled=False)
    return get_model(slug=slug)


def report_problem(*, slug: str, problem: str) -> None:
    """Writes down what the worker says about a model that does not load; admins see it."""
    DiffusionModel.objects.filter(slug=slug).exclude(problem=problem).update(problem=problem)


def clear_problem(*, slug: str) -> None:
    """Forgets what the worker said: it has just drawn with this model."""
    DiffusionModel.objects.filter(slug=slug).exclude(problem="").update(problem="")


def _add(
    *,
    source: DiffusionModel.Source,
    location: str,
    slug: str,
    name: str,
    family: str,
    side_px: int,
    steps: int,
    summary: str = "",
    licence: str = "",
    found: Mapping[str, Any] = MappingProxyType({}),
) -> DiffusionModel:
    architecture = ARCHITECTURES.get(family)
    if architecture is None:
        raise InvalidInput(
            _("Its architecture is not one of %(families)s.")
            % {"families": ", ".join(ARCHITECTURES)},
            field="family",
        )
    if DiffusionModel.objects.filter(slug=slug).exists():
        raise Conflict(
            _("The slug “%(slug)s” is taken. Choose another one with --slug.") % {"slug": slug}
        )
    begins = begins_with(architecture, found)
    side_px = side_px or begins.side_px
    _check_side(side_px, grid_px=begins.grid_px)
    largest_px = side_px * LARGEST_TO_USUAL
    model = DiffusionModel(
        source=source,
        location=location,
        slug=slug,
        name=name,
        summary=summary,
        licence=licence,
        family=family,
        base=found.get("architecture", ""),
        sampler=begins.sampler or architecture.samplers[0],
        width_px=side_px,
        height_px=side_px,
        min_side_px=-(-SMALLEST_SIDE_PX // begins.grid_px) * begins.grid_px,
        max_side_px=largest_px,
        max_pixels=largest_px * side_px,
        side_multiple_px=begins.grid_px,
        steps=steps or begins.steps,
        guidance_scale=begins.guidance_scale,
        uses_negative_prompt=begins.uses_negative_prompt,
    )
    model.full_clean()
    model.save()
    return model


def _check_side(side_px: int, *, grid_px: int) -> None:
    if side_px % grid_px or not SMALLEST_SIDE_PX <= side_px <= LARGEST_SIDE_PX:
        sentence = _("The usual side is a multiple of %(grid)d, from %(least)d to %(most)d pixels.")
        limits = {"grid": grid_px, "least": SMALLEST_SIDE_PX, "most": LARGEST_SIDE_PX}
        raise InvalidInput(sentence % limits, field="side_px")
