"""From a claim to what the engine is asked for, and to the text that the image carries."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from webapp import __version__
from webapp.catalog.loras import Worn, without_tags
from webapp.catalog.samplers import SAMPLER_NAMES
from webapp.generation.queueing.claims import Claim
from webapp.generation.request.spec import GenerationSpec, noted_values
from worker.engine.request import ImageRequest, LoraSource, ModelSource
from worker.finishing.parameters import Parameters, write_parameters
from worker.start_images import read_start_images


def image_request(claim: Claim) -> ImageRequest:
    """What the engine is asked for, with the images that come along. Raises InvalidRequest if
    one of them is gone, StorageAway if it can't be read now."""
    model = claim.model
    return ImageRequest(
        request_id=str(claim.lease_token),
        owner_id=str(claim.owner_id),
        model=ModelSource(
            slug=model.slug,
            family=model.family,
            kind="file" if model.source == model.Source.FILE else "folder",
            location=model.path,
        ),
        loras=tuple(LoraSource(one.slug, one.location, one.weight) for one in claim.loras),
        **_values_of(replace(claim.asked, prompt=without_tags(claim.asked.prompt)), ImageRequest),
        **read_start_images(claim),
    )


def parameters_text(claim: Claim) -> str:
    """The `parameters` text that the PNG carries."""
    asked = claim.asked
    values = _values_of(asked, Parameters) | {
        "sampler": SAMPLER_NAMES[asked.sampler],
        "model": claim.model.name,
        "version": f"Darkroom {__version__}",
        "more": noted_values(asked) | {"Lora hashes": _hashes(claim.loras)},
    }
    return write_parameters(Parameters(**values))


def _hashes(loras: Sequence[Worn]) -> str:
    """By which other tools find the files; "" if there are none."""
    return ", ".join(f"{one.slug}: {one.short_hash}" for one in loras if one.short_hash)


def _values_of(asked: GenerationSpec, kind: type[ImageRequest | Parameters]) -> dict[str, Any]:
    """Those values of the request that such a thing has a place for, under the same names; what is
    None is left to its default."""
    names = {one.name for one in fields(kind)} & {one.name for one in fields(asked)}
    values = {name: getattr(asked, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
