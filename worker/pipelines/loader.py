"""From a model's files to a pipeline that is ready on the device. Never touches the network."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline
from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from worker.config import EngineConfig
from worker.engine.errors import EngineError, ModelUnavailable, OutOfMemory
from worker.engine.request import ModelSource
from worker.pipelines.inspect import (
    FAMILY_OF_CLASS,
    OPTIONAL_COMPONENTS,
    configuration_of,
    inspect_path,
)
from worker.pipelines.memory import is_out_of_memory, release_memory
from worker.pipelines.previews import LatentPreview, fit_preview

logger = logging.getLogger(__name__)

# float16 overflows in these families' transformers.
_BFLOAT16_FAMILIES = frozenset({"sd3", "flux", "other"})


@dataclass(slots=True, eq=False)
class LoadedModel:
    """A pipeline on its device, with the scheduler it was trained with kept aside.

    `pipeline.scheduler` is replaced for every request; `trained_scheduler` never is.
    """

    source: ModelSource
    pipeline: Any
    trained_scheduler: Any
    device: torch.device
    dtype: torch.dtype
    _preview: LatentPreview | None = None
    _preview_fitted: bool = False

    def preview(self) -> LatentPreview | None:
        """Return the preview of this model, fitted at first use; None where it has none."""
        if not self._preview_fitted:
            self._preview = fit_preview(getattr(self.pipeline, "vae", None))
            self._preview_fitted = True
        return self._preview


class ModelCache:
    """The models kept loaded: the least recently used leaves when one more would not fit."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._models: OrderedDict[ModelSource, LoadedModel] = OrderedDict()

    def holds(self, source: ModelSource) -> bool:
        """True where the model is on the device."""
        return source in self._models

    def has_room_for(self, source: ModelSource) -> bool:
        """True where the model is here, or can be without another leaving."""
        return source in self._models or len(self._models) < self._config.resident_models

    def names(self) -> tuple[str, ...]:
        """Slugs of the models on the device; any thread may ask."""
        return tuple(source.slug for source in list(self._models))

    def get(self, source: ModelSource) -> LoadedModel:
        """Return the model, loading it if need be.

        Raises `ModelUnavailable` when its files cannot be used and `OutOfMemory` when the device
        has no room for it even alone.
        """
        if source in self._models:
            self._models.move_to_end(source)
            return self._models[source]
        # Make room first: two models at once may not fit.
        self._shrink_to(self._config.resident_models - 1)
        self._models[source] = self._load(source)
        return self._models[source]

    def _load(self, source: ModelSource) -> LoadedModel:
        try:
            return load_model(source, self._config)
        except OutOfMemory:
            if not self._models:
                raise
            logger.warning("no room for %s beside other models; unloading those", source.slug)
            self._shrink_to(0)
            return load_model(source, self._config)

    def _shrink_to(self, count: int) -> None:
        while len(self._models) > count:
            self._models.popitem(last=False)
            release_memory()


def load_model(source: ModelSource, config: EngineConfig) -> LoadedModel:
    """Return `source` loaded on the configured device.

    Raises `ModelUnavailable` with a sentence that says what is wrong, or `OutOfMemory`.
    """
    path = _local_path(source)
    _check_usable(source, path)
    device = choose_device(config)
    dtype = choose_dtype(config, device, source.family)
    try:
        pipeline = _read_pipeline(source, path, dtype).to(device)
    # Libraries raise whatever they like on broken files; all of it means the same to people.
    except Exception as error:
        raise _load_failure(source, error) from error
    pipeline.set_progress_bar_config(disable=True)
    return LoadedModel(source, pipeline, pipeline.scheduler, device, dtype)


def choose_device(config: EngineConfig) -> torch.device:
    """Return the configured device; "auto" takes CUDA, then MPS, then the CPU.

    Raises `EngineError` when the device asked for is not there.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if config.device == "auto":
        return torch.device(next(name for name, is_present in present.items() if is_present))
    if not present[config.device]:
        detail = f"DARKROOM_DEVICE is {config.device}, which torch does not find here"
        raise EngineError("The worker's device is not available.", detail=detail)
    return torch.device(config.device)


def choose_dtype(config: EngineConfig, device: torch.device, family: str) -> torch.dtype:
    """Return the configured number format; "auto" takes half precision on CUDA only."""
    if config.dtype != "auto":
        dtype: torch.dtype = getattr(torch, config.dtype)
        return dtype
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if family in _BFLOAT16_FAMILIES else torch.float16


def _local_path(source: ModelSource) -> Path:
    if source.kind != "hub":
        return Path(source.location)
    try:
        return Path(
            snapshot_download(source.location, revision=source.revision, local_files_only=True)
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError) as error:
        sentence = f"The model {source.slug} has not been downloaded to this worker."
        raise ModelUnavailable(sentence, detail=f"{source.location}: {error}") from error


def _check_usable(source: ModelSource, path: Path) -> None:
    """Refuse, unopened, whatever is not a text-to-image model in safetensors format."""
    found = inspect_path(path)
    if not found.ok:
        sentence = f"The model {source.slug} cannot be used: {found.sentence}"
        raise ModelUnavailable(sentence, detail=str(path))
    is_wanted = (source.kind == "file") == (found.kind == "file") and found.family == source.family
    if not is_wanted:
        sentence = (
            f"The model {source.slug} is set up as {source.family} {source.kind}, "
            f"but its files are {found.family} {found.kind}."
        )
        raise ModelUnavailable(sentence, detail=str(path))


def _read_pipeline(source: ModelSource, path: Path, dtype: torch.dtype) -> Any:
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    if source.kind == "file":
        return _read_file(source, path, dtype)
    return _read_folder(path, dtype)


def _read_file(source: ModelSource, path: Path, dtype: torch.dtype) -> Any:
    class_name = next(name for name, family in FAMILY_OF_CLASS.items() if family == source.family)
    absent = {"safety_checker": None} if source.family == "sd" else {}
    return getattr(diffusers, class_name).from_single_file(
        str(path),
        config=str(configuration_of(path)),
        dtype=dtype,
        local_files_only=True,
        **absent,
    )


def _read_folder(path: Path, dtype: torch.dtype) -> Any:
    index = DiffusionPipeline.load_config(path)
    _check_text_to_image(index["_class_name"])
    absent: dict[str, Any] = {
        name: None for name in OPTIONAL_COMPONENTS if name in index and not (path / name).is_dir()
    }
    if "safety_checker" in absent:
        absent["requires_safety_checker"] = False
    return DiffusionPipeline.from_pretrained(
        path,
        dtype=dtype,
        use_safetensors=True,
        variant="fp16" if _is_half_only(path) else None,
        local_files_only=True,
        **absent,
    )


def _check_text_to_image(class_name: str) -> None:
    known = {pipeline.__name__ for pipeline in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    if class_name not in known:
        raise ModelUnavailable(f"{class_name} does not make images from text alone.")


def _is_half_only(path: Path) -> bool:
    """True when the denoiser comes as `*.fp16.safetensors` and in no other precision."""
    names = [
        file.name
        for folder in ("unet", "transformer")
        for file in (path / folder).glob("*.safetensors")
    ]
    return bool(names) and all(".fp16" in name for name in names)


def _load_failure(source: ModelSource, error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    if is_out_of_memory(error):
        release_memory()
        return OutOfMemory(f"The model {source.slug} does not fit into this device's memory.")
    sentence = f"The model {source.slug} cannot be loaded; its files do not fit together."
    return ModelUnavailable(sentence, detail=f"{type(error).__name__}: {error}")
