"""From a model's files to a pipeline that is ready on the device. Never touches the network."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from worker.config import EngineConfig
from worker.engine.errors import EngineError, ModelUnavailable, OutOfMemory
from worker.engine.request import ModelSource
from worker.pipelines.architectures import ARCHITECTURES, OTHER, architecture_of_class
from worker.pipelines.classes import pipeline_class
from worker.pipelines.devices import choose_device
from worker.pipelines.fitting import (
    MANNERS,
    SPARE_BYTES,
    TOGETHER,
    Manner,
    Plan,
    Room,
    is_for,
    needs_of,
    plan_loading,
)
from worker.pipelines.inspect import inspect_path
from worker.pipelines.loras import LoraShelf
from worker.pipelines.memory import (
    drop_weights,
    is_out_of_memory,
    move_weights,
    release_memory,
    weight_bytes,
)
from worker.pipelines.parts import Parts
from worker.pipelines.previews import LatentPreview, fit_preview
from worker.pipelines.prompt_cache import PromptCache
from worker.pipelines.single_files import read_single_file
from worker.pipelines.sizes import DENOISERS, ModelSizes, is_half_only, measure
from worker.pipelines.vae_ways import VaeWays
from worker.recognition.folders import OPTIONAL_COMPONENTS

_FULL = Plan("full", 0)
_CONVOLUTIONAL = frozenset({"UNet2DConditionModel", "AutoencoderKL"})


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
    prompts: PromptCache = field(default_factory=PromptCache)
    loras: LoraShelf = field(default_factory=LoraShelf)
    vae_ways: VaeWays = field(default_factory=VaeWays)
    parts: Parts | None = None  # those that take turns on the device
    weights: Literal["full", "fp8"] = "full"  # how the denoiser's are stored
    _preview: LatentPreview | None = None
    _preview_fitted: bool = False

    @property
    def is_fixed(self) -> bool:
        """True if the denoiser's weights lie where they are for as long as the model stays, so
        that captured and compiled calls may rely on it; casting and streaming move them."""
        return self.weights == "full" and not (self.parts and self.parts.is_streamed)

    def device_bytes(self) -> int:
        """Bytes of the device that the weights take at most."""
        if self.parts is None:
            return weight_bytes(self.pipeline)
        return weight_bytes(self.pipeline, but=self.parts.names) + self.parts.room

    def wait_beside(self) -> None:
        """Put all weights into the machine's memory. Raises what the allocator raises, with a part
        of them moved."""
        self._move(torch.device("cpu"))

    def come_back(self) -> None:
        """Put them back onto the device. Raises the same."""
        self._move(self.device)

    def drop(self) -> None:
        """Let go of all weights, also if something still refers to the model."""
        if self.parts is not None:
            self.parts.drop()
        drop_weights(self.pipeline)

    def _move(self, device: torch.device) -> None:
        if self.parts is None:
            move_weights(self.pipeline, device)
            return
        self.parts.make_way()  # they come by themselves when they are needed
        move_weights(self.pipeline, device, but=self.parts.names)

    def preview(self) -> LatentPreview | None:
        """Return the preview of this model, fitted at first use; None if it has none."""
        if not self._preview_fitted:
            parts = self.pipeline.components  # Kandinsky and Stable Cascade call it otherwise
            named = (parts.get(name) for name in ("vae", "movq", "vqgan"))
            self._preview = fit_preview(next((vae for vae in named if vae is not None), None))
            self._preview_fitted = True
        return self._preview


def load_model(source: ModelSource, config: EngineConfig, plan: Plan = _FULL) -> LoadedModel:
    """Return `source` loaded on the configured device as planned.

    Raises `ModelUnavailable` with a sentence that says what is wrong, `OutOfMemory`, and
    `EngineError` for weights that cannot be stored there as configured.
    """
    path = files_of(source)
    _check_usable(source, path)
    device = choose_device(config)
    dtype = choose_dtype(config, device, source.family)
    try:
        pipeline = _read_pipeline(source, path, dtype)
        parts = _place(pipeline, device, dtype, plan)
    # Libraries raise whatever they like on broken files; all of it means the same to people.
    except Exception as error:
        raise _load_failure(source, error) from error
    pipeline.set_progress_bar_config(disable=True)
    weights: Literal["full", "fp8"] = "fp8" if plan.is_fp8 else "full"
    ways = VaeWays(is_upcast=ARCHITECTURES[source.family].vae_overflows)
    return LoadedModel(
        source,
        pipeline,
        pipeline.scheduler,
        device,
        dtype,
        vae_ways=ways,
        parts=parts,
        weights=weights,
    )


def _place(pipeline: Any, device: torch.device, dtype: torch.dtype, plan: Plan) -> Parts | None:
    """Put a pipeline that was read onto the device, as planned."""
    if plan.is_fp8:
        _store_in_fp8(pipeline, dtype)
    if device.type == "cuda":
        lay_out_for_convolutions(pipeline)
    if not plan.part_bytes:
        pipeline.to(device)
        return None
    parts = Parts(pipeline, device, plan.part_bytes)
    for name, component in pipeline.components.items():
        if isinstance(component, torch.nn.Module) and name not in parts.names:
            component.to(device)
    return parts


def _store_in_fp8(pipeline: Any, dtype: torch.dtype) -> None:
    """Each layer's weights are widened to `dtype` while it works. diffusers leaves norms, what
    makes positions, and the first and last layers as they are."""
    for name, part in pipeline.components.items():
        # One that is quantised is stored in fewer bytes still.
        if name in DENOISERS and getattr(part, "hf_quantizer", None) is None:
            part.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)


def lay_out_for_convolutions(pipeline: Any) -> None:
    """Channels last, as tensor cores take them. On the CPU it would change the last bits and, at
    small sizes, gain nothing in the denoiser."""
    for module in pipeline.components.values():
        if type(module).__name__ in _CONVOLUTIONAL:
            module.to(memory_format=torch.channels_last)


def plan_model(source: ModelSource, config: EngineConfig, room: Room) -> Plan:
    """How `source` is to be loaded into `room`. Reads the headers of its files, and no weights.

    Raises `ModelUnavailable` if its files cannot be used, or if it is too large for the device:
    with the figures, for administrators, in the detail.
    """
    path = files_of(source)
    _check_usable(source, path)
    device = choose_device(config)
    itemsize = choose_dtype(config, device, source.family).itemsize
    sizes, manners = measure(path), manners_of(source.family, config, device)
    plan = plan_loading(sizes, itemsize, room=room, manners=manners)
    if plan is None:
        raise _too_large(source, sizes, itemsize, manners, room)
    return plan


def manners_of(family: str, config: EngineConfig, device: torch.device) -> tuple[Manner, ...]:
    """The manners in which a model of `family` may be loaded there, the best first. Apple's
    GPUs know no fp8."""
    manners = tuple(manner for manner in MANNERS[config.weights] if is_for(family, manner))
    if device.type == "mps":
        manners = tuple(manner for manner in manners if not manner.startswith("fp8"))
    return manners


def check_weights(config: EngineConfig, device: torch.device) -> None:
    """Raises `EngineError` if the weights cannot be stored there as configured."""
    if config.weights == "fp8" and device.type == "mps":
        sentence = "DARKROOM_WEIGHTS=fp8 is not possible on an Apple GPU; set auto or full."
        raise EngineError(sentence)


def _too_large(
    source: ModelSource,
    sizes: ModelSizes,
    itemsize: int,
    manners: tuple[Manner, ...],
    room: Room,
) -> ModelUnavailable:
    sentence = f"The model {source.slug} is too large for the memory of this worker's device."
    needs = needs_of(sizes, itemsize)
    everywhere = replace(room, beside=sizes.whole(itemsize))
    lacks_host = (
        room.beside > 0
        and plan_loading(sizes, itemsize, room=everywhere, manners=manners) is not None
    )
    together = [manner for manner in manners if manner in TOGETHER]
    needed = min(needs[manner] for manner in (together if lacks_host else manners))
    detail = f"It needs {gigabytes(needed)}; the device has {gigabytes(room.total)}"
    if room.most < room.total - SPARE_BYTES:
        detail += f", of which models may take {gigabytes(room.most)} now"
    if lacks_host:
        detail += f", and parts of it could wait beside it in {gigabytes(room.beside)} at most"
    return ModelUnavailable(sentence, detail=f"{detail}.")


def gigabytes(count: int) -> str:
    """`count` bytes as administrators read them: "33.7 GB"."""
    return f"{count / 1e9:.1f} GB"


def choose_dtype(config: EngineConfig, device: torch.device, family: str) -> torch.dtype:
    """Return the configured number format; "auto" takes half precision on CUDA only."""
    if config.dtype != "auto":
        dtype: torch.dtype = getattr(torch, config.dtype)
        return dtype
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if ARCHITECTURES[family].overflows_in_float16 else torch.float16


def files_of(source: ModelSource) -> Path:
    """The folder or file that the model is loaded from. Raises `ModelUnavailable` if it was not
    downloaded."""
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
    """Refuse, unopened, whatever draws neither from text nor into an image, or comes in another
    format than safetensors and GGUF."""
    found = inspect_path(path)
    if not (found.usable or found.only_repaints):
        sentence = f"The model {source.slug} cannot be used: {found.sentence}"
        raise ModelUnavailable(sentence, detail=str(path))
    is_wanted = (source.kind == "file") == (found.form == "file") and found.family == source.family
    if not is_wanted:
        sentence = (
            f"The model {source.slug} is set up as {source.family} {source.kind}, "
            f"but its files are {found.family} {found.form}."
        )
        raise ModelUnavailable(sentence, detail=str(path))


def _read_pipeline(source: ModelSource, path: Path, dtype: torch.dtype) -> Any:
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    if source.kind == "file":
        return read_single_file(path, dtype)
    return _read_folder(path, dtype)


def _read_folder(path: Path, dtype: torch.dtype) -> Any:
    index = DiffusionPipeline.load_config(path)
    if architecture_of_class(index["_class_name"]) == OTHER:
        pipeline_class(index["_class_name"])  # or it raises
    absent: dict[str, Any] = {
        name: None for name in OPTIONAL_COMPONENTS if name in index and not (path / name).is_dir()
    }
    # Saved without it, such as Stable Diffusion 3 without T5: diffusers wants to be told again.
    absent |= {name: None for name, entry in index.items() if entry in ([None, None], (None, None))}
    if "safety_checker" in absent:
        absent["requires_safety_checker"] = False
    return DiffusionPipeline.from_pretrained(
        path,
        dtype=dtype,
        use_safetensors=True,
        variant="fp16" if is_half_only(path) else None,
        local_files_only=True,
        **absent,
    )


def _load_failure(source: ModelSource, error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    if is_out_of_memory(error):
        release_memory()
        return OutOfMemory(f"The model {source.slug} does not fit into this device's memory.")
    sentence = f"The model {source.slug} cannot be loaded; its files do not fit together."
    return ModelUnavailable(sentence, detail=f"{type(error).__name__}: {error}")
