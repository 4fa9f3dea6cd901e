"""Which of diffusers' pipeline classes make images of text."""

import inspect
from typing import Any, Final

import diffusers
from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

from worker.engine.errors import ModelUnavailable

# diffusers' own table has pipelines too that are steered by another image, or make videos.
_MORE_THAN_TEXT: Final = frozenset({"control_image", "controlnet_conditioning_scale", "num_frames"})


def pipeline_class(class_name: str) -> Any:
    """diffusers' class of that name, if it makes images of text. Raises `ModelUnavailable` with
    what is in the way otherwise."""
    try:
        found = getattr(diffusers, class_name, None)
    except (ImportError, RuntimeError) as error:  # one of its own modules does not load
        raise ModelUnavailable(f"{class_name} cannot be used here.", detail=str(error)) from error
    if found is None:
        sentence = f"{class_name} is not a pipeline of diffusers {diffusers.__version__}."
        raise ModelUnavailable(sentence)
    check_installed(class_name, found)
    known = {pipeline.__name__ for pipeline in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    accepted = inspect.signature(found.__call__).parameters
    if class_name not in known or accepted.keys() & _MORE_THAN_TEXT:
        raise ModelUnavailable(f"{class_name} does not make images from text alone.")
    return found


def check_installed(class_name: str, found: Any) -> None:
    """Raises `ModelUnavailable` if `found` is the dummy that diffusers and transformers have for a
    class that is built on packages which are not here."""
    packages = getattr(found, "_backends", None)
    if type(found).__name__ == "DummyObject" and packages:
        names = ", ".join(packages)
        raise ModelUnavailable(f"{class_name} needs packages that are not here, of {names}.")
