"""LoRAs laid over a model and taken off again (Hu et al. 2021), by diffusers' PEFT backend."""

import logging
import math
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from diffusers.utils import (
    convert_state_dict_to_diffusers,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from diffusers.utils.peft_utils import set_adapter_layers
from torch import Tensor
from transformers import PreTrainedModel

from worker.engine.errors import InvalidRequest, LoraUnavailable
from worker.engine.request import LoraSource
from worker.pipelines.architectures import ARCHITECTURES
from worker.pipelines.memory import is_out_of_memory
from worker.recognition.headers import read_tensors
from worker.recognition.recognise import recognise

if TYPE_CHECKING:
    from worker.pipelines.loader import LoadedModel

logger = logging.getLogger(__name__)

MOST_LOADED: Final = 8

# By the algorithm that `recognise` tells.
_OTHER_KINDS: Final = {
    "loha": "a LoHa",
    "lokr": "a LoKr",
    "glora": "a GLoRA",
    "oft": "an OFT",
    "boft": "a BOFT",
    "ia3": "an (IA)³",
    "dora": "a DoRA",
    "full": "a set of whole weight differences",
    "norm": "a set of norms",
}
# How names of tensors end that some have beside plain factors -> what that makes them.
_BESIDE: Final = (
    (".lora_mid.weight", "a LoRA with Tucker factors"),
    (".diff", "a LoRA with whole weight differences"),
    (".diff_b", "a LoRA with whole weight differences"),
    (".w_norm", "a LoRA with norms"),
    (".b_norm", "a LoRA with norms"),
)
_LORA_TENSOR = re.compile(r"(.+)\.lora_([AB])\.(weight|bias)")


@dataclass(slots=True)
class LoraShelf:
    """Of one model: the adapters loaded, least recently used first, and those in use.

    `loaded`: file -> adapter name. `worn`: what the model draws with now. `untold`: files that do
    not say how strongly they count at a scale of 1.
    """

    loaded: OrderedDict[str, str] = field(default_factory=OrderedDict)
    worn: tuple[LoraSource, ...] = ()
    names_given: int = 0
    untold: set[str] = field(default_factory=set)

    def of_untold_strength(self) -> str:
        """The slugs of those in use whose files do not say their alpha, with commas; "" if all
        say it."""
        return ",".join(lora.slug for lora in self.worn if lora.location in self.untold)


def apply(model: "LoadedModel", loras: tuple[LoraSource, ...]) -> None:
    """Make the model draw with exactly `loras`; costs a comparison if it already does.

    Up to `MOST_LOADED` stay loaded for the next time, more only if one set needs more. Without
    any, the model draws bit for bit what it drew before it ever had one. Encode prompts after
    this, since a LoRA may change the text encoder.

    Raises `LoraUnavailable` naming the LoRA whose file is missing, broken, no LoRA or not for
    this model; `InvalidRequest` for a LoRA named twice or a scale that is no number. The model
    then draws with what it drew with before.
    """
    shelf = model.loras
    if shelf.worn == loras:
        return
    _check(loras)
    _accept_company()
    for lora in loras:
        if lora.location not in shelf.loaded:
            _load(model, lora)
        shelf.loaded.move_to_end(lora.location)
    _wear(model, loras)
    _unload_surplus(model)


def _check(loras: tuple[LoraSource, ...]) -> None:
    for lora in loras:
        if not math.isfinite(lora.scale):
            raise InvalidRequest(f"The strength of the LoRA {lora.slug} is not a number.")
        if sum(other.location == lora.location for other in loras) > 1:
            raise InvalidRequest(f"The LoRA {lora.slug} is named twice.")


def _wear(model: "LoadedModel", loras: tuple[LoraSource, ...]) -> None:
    if loras:
        names = [model.loras.loaded[lora.location] for lora in loras]
        model.pipeline.set_adapters(names, [lora.scale for lora in loras])
    for _, component in _components(model.pipeline):
        set_adapter_layers(component, enabled=bool(loras))
    model.loras.worn = loras


def _unload_surplus(model: "LoadedModel") -> None:
    shelf = model.loras
    most = max(MOST_LOADED, len(shelf.worn))
    while len(shelf.loaded) > most:
        _, name = shelf.loaded.popitem(last=False)
        model.pipeline.delete_adapters(name)


def _components(pipe: Any) -> list[tuple[str, Any]]:
    """The parts of the pipeline that a LoRA may change, by name."""
    names = getattr(pipe, "_lora_loadable_modules", [])
    parts = [(name, getattr(pipe, name, None)) for name in names]
    return [(name, part) for name, part in parts if part is not None]


# Loading


def _load(model: "LoadedModel", lora: LoraSource) -> None:
    """Load the adapter; the model still draws with what it wore."""
    shelf = model.loras
    _check_file(lora)
    if not hasattr(model.pipeline, "load_lora_weights"):
        raise LoraUnavailable(f"The model {model.source.slug} does not take LoRAs.")
    name = f"lora_{shelf.names_given}"
    shelf.names_given += 1
    try:
        _check_fit(model, lora)
        model.pipeline.load_lora_weights(lora.location, adapter_name=name, use_safetensors=True)
    # Libraries raise whatever they like on files that do not fit; all of it means the same.
    except Exception as error:
        _take_back(model, name)
        if isinstance(error, LoraUnavailable) or is_out_of_memory(error):
            raise
        raise _misfit(lora, f"{type(error).__name__}: {error}") from error
    if model.weights == "fp8":
        _take_in_full(model, lora, name)
    shelf.loaded[lora.location] = name
    _note_strength(shelf, lora)
    # Loading makes the new adapter draw, alone.
    _wear(model, shelf.worn)


def _note_strength(shelf: LoraShelf, lora: LoraSource) -> None:
    path = Path(lora.location)
    if _is_alpha_told(path, read_tensors(path) or {}):
        return
    shelf.untold.add(lora.location)
    logger.warning("the LoRA %s does not say its alpha: its rank is taken", lora.slug)


def _take_in_full(model: "LoadedModel", lora: LoraSource, name: str) -> None:
    """PEFT stores adapters in the format of the layers that they lie over; fp8 has too few digits
    for them, and cannot be computed in."""
    tensors = _tensors(model, lora)
    for part, component in _components(model.pipeline):
        prefix = f"{part}."
        own = {key.removeprefix(prefix): tensors[key] for key in tensors if key.startswith(prefix)}
        for key, tensor in _in_peft_naming(component, own).items() if own else ():
            match = _LORA_TENSOR.fullmatch(key)
            assert match is not None  # noqa: S101 - `_check_fit` has seen to it
            layer, side, kind = match.groups()
            adapter = getattr(component.get_submodule(layer), f"lora_{side}")[name]
            parameter = getattr(adapter, kind)
            parameter.data = tensor.to(parameter.device, model.dtype)


def _take_back(model: "LoadedModel", name: str) -> None:
    """Remove what was loaded of an adapter before its loading failed."""
    model.pipeline.delete_adapters(name)
    _wear(model, model.loras.worn)


def _check_file(lora: LoraSource) -> None:
    """Raises `LoraUnavailable` for a file that is missing, broken, no LoRA, or of a kind that
    would be drawn otherwise than it was trained: diffusers leaves out what it has no place for."""
    path = Path(lora.location)
    if not path.is_file():
        raise LoraUnavailable(f"The LoRA {lora.slug} is not on this worker.", detail=str(path))
    if path.suffix.lower() != ".safetensors":
        raise LoraUnavailable(f"The LoRA {lora.slug} is not a safetensors file.", detail=str(path))
    header = read_tensors(path)
    if header is None:
        raise LoraUnavailable(f"The file of the LoRA {lora.slug} is damaged.", detail=str(path))
    kind = _kind_of(path, header)
    if kind:
        raise LoraUnavailable(f"The LoRA {lora.slug} is {kind}, which is not supported.")
    if not any("lora" in name for name in header):
        raise LoraUnavailable(f"The file of {lora.slug} is not a LoRA.", detail=str(path))


def _kind_of(path: Path, header: Mapping[str, Any]) -> str:
    """What the file is instead of a plain LoRA, in words; "" for one, and for what is none."""
    found = recognise(path)
    if found.kind == "lora" and found.variant in _OTHER_KINDS:
        return _OTHER_KINDS[found.variant]
    return next((kind for end, kind in _BESIDE if any(name.endswith(end) for name in header)), "")


def _is_alpha_told(path: Path, header: Mapping[str, Any]) -> bool:
    """Whether the file says by what its weights are to be multiplied (alpha / rank). If it does
    not, as PEFT writes files beside their configuration, diffusers multiplies by 1."""
    return recognise(path).alpha is not None or any(name.endswith(".alpha") for name in header)


def _misfit(lora: LoraSource, detail: str) -> LoraUnavailable:
    return LoraUnavailable(f"The LoRA {lora.slug} does not fit this model.", detail=detail)


def _accept_company() -> None:
    """Let the libraries find other adapters than the one in hand: here that is the rule.

    PEFT warns of a second one, and of one that goes while it is active; transformers reports the
    others' tensors as missing from the file, and leaves them alone. Set each time, since test
    runners reset the filters.
    """
    for message in ("Already found a `peft_config` attribute", "Adapter .* was active which is"):
        warnings.filterwarnings("ignore", message=message, category=UserWarning)
    logging.getLogger("transformers.integrations.peft").setLevel(logging.ERROR)


# Whether a file fits: diffusers itself only logs the tensors that it finds no place for.


def _check_fit(model: "LoadedModel", lora: LoraSource) -> None:
    """Raises `LoraUnavailable` unless every tensor belongs to a layer of the model, by shape."""
    homeless = _tensors(model, lora)
    if not homeless:
        raise _misfit(lora, "no tensors")
    for name, component in _components(model.pipeline):
        own = {
            key.removeprefix(f"{name}."): homeless.pop(key)
            for key in list(homeless)
            if key.startswith(f"{name}.")
        }
        if own:
            _check_part(lora, component, own)
    if homeless:
        raise _misfit(lora, f"no place for {next(iter(homeless))}")


def _check_part(lora: LoraSource, component: Any, tensors: dict[str, Tensor]) -> None:
    layers = dict(component.named_modules())
    for key, tensor in _in_peft_naming(component, tensors).items():
        if not _fits(layers, key, tensor):
            raise _misfit(lora, f"{type(component).__name__}: {key} {tuple(tensor.shape)}")


def _tensors(model: "LoadedModel", lora: LoraSource) -> dict[str, Tensor]:
    """The file's tensors by diffusers' names, whichever trainer wrote it."""
    # As `load_lora_weights` calls it.
    is_renumbered = ARCHITECTURES[model.source.family].renumbers_lora_blocks
    options = {"unet_config": model.pipeline.unet.config} if is_renumbered else {}
    found = model.pipeline.lora_state_dict(lora.location, use_safetensors=True, **options)
    tensors: dict[str, Tensor] = found[0] if isinstance(found, tuple) else found
    return dict(tensors)


def _in_peft_naming(component: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the component's own loader names them, if it names them otherwise."""
    if isinstance(component, PreTrainedModel):
        tensors = convert_state_dict_to_peft(convert_state_dict_to_diffusers(tensors))
        if not hasattr(component, "text_model"):
            return {key.removeprefix("text_model."): value for key, value in tensors.items()}
    elif not all("lora_A" in key or "lora_B" in key for key in tensors):
        tensors = convert_unet_state_dict_to_peft(tensors)
    return tensors


def _fits(layers: dict[str, Any], key: str, tensor: Tensor) -> bool:
    match = _LORA_TENSOR.fullmatch(key)
    if match is None:
        return False
    layer, side, part = match.groups()
    module = layers.get(layer)
    # A layer that wears an adapter already is wrapped.
    weight = getattr(getattr(module, "base_layer", module), "weight", None)
    if weight is None:
        return False
    if part == "bias":
        return bool(side == "B" and tensor.shape == weight.shape[:1])
    # weight [out, in, ...] = B [out, rank, ...] A [rank, in, ...]
    same = slice(1, None) if side == "A" else slice(0, 1)
    return bool(tensor.ndim == weight.ndim and tensor.shape[same] == weight.shape[same])
