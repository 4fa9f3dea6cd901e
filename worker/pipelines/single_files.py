"""From a single file to a pipeline: its denoiser, the parts that it holds, those that lie nearby,
and the configurations and tokenizers that ship with the program. Never touches the network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from diffusers import GGUFQuantizationConfig
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from diffusers.models.model_loading_utils import load_gguf_checkpoint
from safetensors.torch import load_file
from transformers.initialization import no_init_weights

from worker.pipelines.configurations import CLIP_TOKENIZER, T5_TOKENIZER, configuration_for
from worker.pipelines.flux_layout import to_diffusers
from worker.pipelines.prediction import is_probed, probe_prediction, schedule_changes
from worker.pipelines.sizes import DENOISERS, is_encoder
from worker.recognition.folders import INDEX
from worker.recognition.found import Found
from worker.recognition.parts import VAE, choose_parts, held_components
from worker.recognition.recognise import recognise

Tensors = dict[str, torch.Tensor]

UNET: Final = "model.diffusion_model."
_VAE: Final = "first_stage_model."
# The names of a part in whole checkpoints.
_T5: Final = "text_encoders.t5xxl.transformer."
_OPEN_CLIP: Final = ("cond_stage_model.model.", "conditioner.embedders.1.model.")
_CLIP: Final = {
    "clip-l": (
        "cond_stage_model.transformer.",
        "conditioner.embedders.0.transformer.",
        "text_encoders.clip_l.transformer.",
    ),
    "clip-g": ("text_encoders.clip_g.transformer.",),
}
# Of OpenCLIP's encoders; CLIP's own pads prompts with the end of text.
_PADDED_BY: Final = "!"


def read_single_file(path: Path, dtype: torch.dtype) -> Any:
    """The pipeline of the file, in `dtype` on the CPU. Raises whatever libraries raise on weights
    that do not fit."""
    found = recognise(path)
    folder = configuration_for(path, found)
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    reader = _Reader(path, found, folder, dtype)
    listed = {name: entry for name, entry in index.items() if isinstance(entry, list)}
    parts = {name: reader.part(name, entry) for name, entry in listed.items() if all(entry)}
    parts |= {name: None for name, entry in listed.items() if not all(entry)}
    pipeline_class = getattr(diffusers, index["_class_name"])
    if "safety_checker" in pipeline_class._optional_components:
        parts |= {"safety_checker": None, "feature_extractor": None}
        parts["requires_safety_checker"] = False
    pipeline = pipeline_class(**_accepted(pipeline_class, parts))
    if is_probed(path, found):
        probe_prediction(pipeline)
    return pipeline


def _accepted(pipeline_class: Any, parts: dict[str, Any]) -> dict[str, Any]:
    required, optional = pipeline_class._get_signature_keys(pipeline_class)
    accepted = {*required, *optional}
    return {name: None for name in pipeline_class._optional_components if name in accepted} | {
        name: part for name, part in parts.items() if name in accepted
    }


class _Reader:
    """Reads the parts of one pipeline; each tensor of the file stays mapped until it is taken."""

    def __init__(self, path: Path, found: Found, folder: Path, dtype: torch.dtype) -> None:
        self.path, self.found, self.folder, self.dtype = path, found, folder, dtype
        self.tensors: Tensors = _load(path)
        self.chosen = choose_parts(path, found).chosen
        held = held_components(found)
        self.kinds = {component: part for part, component in held.items()}

    def part(self, name: str, entry: list[str]) -> Any:
        """The component of that name, or None for one that is nowhere, and spared."""
        library, class_name = entry
        part_class = getattr({"diffusers": diffusers}.get(library, transformers), class_name)
        if name == "scheduler":
            return self._scheduler(part_class)
        if name.startswith("tokenizer"):
            return self._tokenizer(name, part_class)
        if name in DENOISERS:
            return self._denoiser(name, part_class)
        if name == VAE:
            return self._vae(part_class)
        if is_encoder(name):
            return self._encoder(name, part_class)
        return None

    def _scheduler(self, part_class: Any) -> Any:
        made = part_class.from_pretrained(self.folder, subfolder="scheduler")
        if is_beside(self.path, self.folder):
            return made
        wanted, changes = schedule_changes(self.found)
        return getattr(diffusers, wanted or type(made).__name__).from_config(made.config, **changes)

    def _tokenizer(self, name: str, part_class: Any) -> Any:
        if (self.folder / name).is_dir():
            return part_class.from_pretrained(self.folder / name, local_files_only=True)
        if part_class is transformers.T5Tokenizer:
            return part_class.from_pretrained(T5_TOKENIZER, local_files_only=True)
        is_open = name == "tokenizer_2" or self.found.architecture == "sd2"
        more = {"pad_token": _PADDED_BY} if is_open else {}
        return part_class.from_pretrained(CLIP_TOKENIZER, local_files_only=True, **more)

    def _denoiser(self, name: str, part_class: Any) -> Any:
        tensors = _without(self.tensors, self.found.prefix)
        if self.found.layout == "published" and name == "unet":
            tensors = {f"{UNET}{key}": value for key, value in tensors.items()}
        if self.found.layout == "published" and self.found.architecture == "flux":
            tensors = to_diffusers(tensors)
        if not is_gguf(self.path):
            return build_part(part_class, self.folder / name, tensors, self.dtype)
        return part_class.from_single_file(
            tensors,
            config=str(self.folder),
            subfolder=name,
            dtype=self.dtype,
            local_files_only=True,
            quantization_config=GGUFQuantizationConfig(compute_dtype=self.dtype),
        )

    def _vae(self, part_class: Any) -> Any:
        folder: Path | None = None
        if VAE in self.chosen:
            tensors, folder = read_part(self.chosen[VAE])
        else:
            tensors = _without(self.tensors, _VAE) or _without(self.tensors, "vae.")
        vae = build_part(part_class, folder or self.folder / VAE, tensors, self.dtype)
        if "edm_mean" in self.tensors and not is_beside(self.path, self.folder):
            statistics = {
                name: self.tensors[f"edm_{short}"].float().flatten().tolist()
                for name, short in (("latents_mean", "mean"), ("latents_std", "std"))
            }
            vae.register_to_config(**statistics, scaling_factor=EDM_SCALE)
        return vae

    def _encoder(self, name: str, part_class: Any) -> Any:
        if name in self.kinds:
            return self._held_encoder(name, self.kinds[name], part_class)
        if name not in self.chosen:
            return None
        tensors, folder = read_part(self.chosen[name])
        return self._build_encoder(name, tensors, folder or self.folder / name, part_class)

    def _held_encoder(self, name: str, kind: str, part_class: Any) -> Any:
        for prefix in _CLIP.get(kind, (_T5,)):
            if tensors := _without(self.tensors, prefix):
                return self._build_encoder(name, tensors, self.folder / name, part_class)
        held = {key: value for key, value in self.tensors.items() if key.startswith(_OPEN_CLIP)}
        return create_diffusers_clip_model_from_ldm(
            part_class,
            checkpoint=held,
            subfolder=name,
            config=str(self.folder),
            torch_dtype=self.dtype,
            local_files_only=True,
        )

    def _build_encoder(self, name: str, tensors: Tensors, folder: Path, part_class: Any) -> Any:
        config = part_class.config_class.from_pretrained(folder, local_files_only=True)
        if name == "text_encoder" and hasattr(config, "projection_dim"):
            # Files of Stable Diffusion 3 leave it out of the first encoder: it changes nothing.
            tensors = {_PROJECTION: torch.eye(config.projection_dim)} | tensors
        return build_encoder(part_class, config, tensors, self.dtype)


_SHARED: Final = ("shared.weight", "encoder.embed_tokens.weight")
_PROJECTION: Final = "text_projection.weight"
# Playground 2.5 spreads its latents by these, and then by half.
EDM_SCALE: Final = 0.5


def is_gguf(path: Path) -> bool:
    """True for a file of GGML's format."""
    return path.suffix.lower() == ".gguf"


def is_beside(path: Path, folder: Path) -> bool:
    """True if the configuration is the file's own, and not one that ships with the program."""
    return folder.parent == path.parent


def _load(path: Path) -> Tensors:
    return load_gguf_checkpoint(str(path)) if is_gguf(path) else load_file(path)


def _without(tensors: Mapping[str, torch.Tensor], prefix: str) -> Tensors:
    """Those whose names begin so, named by the rest."""
    return {
        name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }


def read_part(path: Path) -> tuple[Tensors, Path | None]:
    """(tensors, the folder with their configuration): None for a file, which has none."""
    if path.is_file():
        return load_file(path), None
    tensors: Tensors = {}
    for file in sorted(path.glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors, path


def build_part(part_class: Any, folder: Path, tensors: Tensors, dtype: torch.dtype) -> Any:
    """A part with weights in diffusers, of tensors that are named as it names them or as the
    original code did. Raises ValueError if some are missing."""
    config = part_class.load_config(folder)
    with no_init_weights(), init_empty_weights():
        part = part_class.from_config(config)
    if not part.state_dict().keys() <= tensors.keys():
        convert = SINGLE_FILE_LOADABLE_CLASSES[part_class.__name__]["checkpoint_mapping_fn"]
        tensors = convert(config=config, checkpoint=tensors)
    return fill(part, tensors, dtype)


def build_encoder(part_class: Any, config: Any, tensors: Tensors, dtype: torch.dtype) -> Any:
    """A text encoder of tensors that are named as any version of transformers, or the original
    checkpoints before it, named them. Raises ValueError if some are missing."""
    with no_init_weights(), init_empty_weights():
        encoder = part_class(config)
    given = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    # T5 reads words by one table, which files keep under either name.
    shared = given.get(_SHARED[0], given.get(_SHARED[1]))
    given |= {name: shared for name in _SHARED if shared is not None}
    bare = {name: name.removeprefix("text_model.") for name in encoder.state_dict()}
    named = {name: given[each] for name, each in bare.items() if each in given}
    fill(encoder, named, dtype).tie_weights()
    return encoder


def fill(part: Any, tensors: Tensors, dtype: torch.dtype) -> Any:
    """The part with these weights in `dtype`, but for those that it keeps in full beside half
    precision. Raises ValueError if some are missing."""
    wanted = part.state_dict().keys()
    if missing := wanted - tensors.keys():
        raise ValueError(f"{len(missing)} tensors are missing, such as {min(missing)}")
    kept = set(part._keep_in_fp32_modules or ()) if dtype == torch.float16 else set()
    cast = {
        name: tensors[name].to(torch.float32 if kept & set(name.split(".")) else dtype)
        for name in wanted
    }
    part.load_state_dict(cast, assign=True)
    return part.eval()
