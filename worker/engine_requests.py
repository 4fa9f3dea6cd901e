"""From a claim to what the engine is asked for, and to the text that the image carries."""

from webapp import __version__
from webapp.catalog.samplers import SAMPLER_NAMES
from webapp.generation.claims import Claim
from worker.engine.request import ImageRequest, ModelSource
from worker.finishing.parameters import Parameters, write_parameters
from worker.start_pictures import read_pictures


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
        prompt=claim.prompt,
        negative_prompt=claim.negative_prompt,
        width_px=claim.width_px,
        height_px=claim.height_px,
        steps=claim.steps,
        guidance_scale=claim.guidance_scale,
        seed=claim.seed,
        sampler=claim.sampler,
        exact=claim.exact,
        **read_pictures(claim),
    )


def parameters_text(claim: Claim) -> str:
    """The `parameters` text that the PNG carries."""
    return write_parameters(
        Parameters(
            prompt=claim.prompt,
            negative_prompt=claim.negative_prompt,
            steps=claim.steps,
            sampler=SAMPLER_NAMES[claim.sampler],
            guidance_scale=claim.guidance_scale,
            seed=claim.seed,
            width_px=claim.width_px,
            height_px=claim.height_px,
            model=claim.model.name,
            version=f"Darkroom {__version__}",
            style=claim.style,
            strength=claim.strength,
        )
    )
