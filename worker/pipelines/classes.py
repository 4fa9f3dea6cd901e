"""Which of diffusers' pipeline classes make images of text."""

import inspect
import types
from typing import Any, Final

import diffusers
import diffusers.pipelines
from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING
from diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model import PaellaVQModel

from worker.engine.errors import ModelUnavailable

# diffusers' own table has pipelines too that are steered by another image, or make videos.
_MORE_THAN_TEXT: Final = frozenset({"control_image", "controlnet_conditioning_scale", "num_frames"})

# Not in that table, and draw from text all the same.
_BESIDE_THE_TABLE: Final = frozenset({"HiDreamImagePipeline"})
# One of two stages -> the class that draws with both.
_STAGES: Final = {
    "StableCascadePriorPipeline": "StableCascadeCombinedPipeline",
    "StableCascadeDecoderPipeline": "StableCascadeCombinedPipeline",
    "KandinskyPriorPipeline": "KandinskyCombinedPipeline",
    "KandinskyPipeline": "KandinskyCombinedPipeline",
    "KandinskyV22PriorPipeline": "KandinskyV22CombinedPipeline",
    "KandinskyV22Pipeline": "KandinskyV22CombinedPipeline",
}

# diffusers 0.42 has moved the VAE of Stable Cascade to where its own loader does not look:
# published folders name the first of these places, folders that it saves itself the second.
_WUERSTCHEN: Final = types.SimpleNamespace(PaellaVQModel=PaellaVQModel)
diffusers.pipelines.wuerstchen = _WUERSTCHEN
diffusers.PaellaVQModel = PaellaVQModel


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
    if class_name in _STAGES:
        sentence = (
            f"{class_name} is one of two stages. Save both of them as one folder, as a "
            f"{_STAGES[class_name]}."
        )
        raise ModelUnavailable(sentence)
    table = {pipeline.__name__ for pipeline in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    accepted = inspect.signature(found.__call__).parameters
    if class_name not in table | _BESIDE_THE_TABLE or accepted.keys() & _MORE_THAN_TEXT:
        raise ModelUnavailable(f"{class_name} does not make images from text alone.")
    return found


def check_installed(class_name: str, found: Any) -> None:
    """Raises `ModelUnavailable` if `found` is the dummy that diffusers and transformers have for a
    class that is built on packages which are not here."""
    packages = getattr(found, "_backends", None)
    if type(found).__name__ == "DummyObject" and packages:
        names = ", ".join(packages)
        raise ModelUnavailable(f"{class_name} needs packages that are not here, of {names}.")
