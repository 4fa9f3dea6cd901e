"""Folders in diffusers format, and folders that hold one part of a pipeline."""

from pathlib import Path
from typing import Any, Final

from worker.recognition import details
from worker.recognition.found import Found
from worker.recognition.headers import PICKLE_SUFFIXES, UnreadableFile, read_header, read_json

# Components a text-to-image pipeline works without; a folder may list but not hold them.
OPTIONAL_COMPONENTS: Final = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
# Where components may come from: any other name would be imported as a module, whatever it is.
# The last three are folders of diffusers itself.
LIBRARIES: Final = frozenset(
    {"diffusers", "transformers", "stable_diffusion", "kolors", "wuerstchen"}
)
SD2_CONTEXT: Final = 1024
INDEX: Final = "model_index.json"
_DENOISERS: Final = frozenset({"unet", "transformer", "vae"})
# A class in a part's config.json -> what that part is.
# How the class of a pipeline begins -> its architecture; the more particular stand first.
_CLASSES: Final = (
    ("StableDiffusionXL", "sdxl"),
    ("StableDiffusion3", "sd3"),
    ("StableDiffusionUpscale", "sd-upscaler"),
    ("StableDiffusion", "sd1"),
    ("StableCascade", "cascade"),
    ("Flux2", "flux2"),
    ("Flux3", ""),
    ("Flux", "flux"),
    ("Chroma", "chroma"),
    ("ZImage", "z-image"),
    ("QwenImage", "qwen-image"),
    ("Krea2", "krea2"),
    ("Lumina2", "lumina2"),
    ("Sana", "sana"),
    ("PixArt", "pixart"),
    ("AuraFlow", "auraflow"),
    ("Kandinsky5", "kandinsky5"),
    ("Kandinsky", "kandinsky2"),
    ("HiDream", "hidream"),
    ("HunyuanDiT", "hunyuan-dit"),
)
_VAES: Final = ("Autoencoder", "VQModel", "PaellaVQModel")


def is_model_folder(path: Path) -> bool:
    """Whether a folder is one model, or one part of one, and not a place with several."""
    return (path / INDEX).is_file() or _part_class(path) != ""


def recognise_folder(path: Path) -> Found:
    """What a folder holds."""
    part = "" if (path / INDEX).is_file() else _part_class(path)
    if part:
        return _part(path, part)
    index = read_json(path / INDEX)
    if index is None:
        return _refusal(path, f"{path.name} has no readable {INDEX}.")
    class_name = index.get("_class_name")
    if not isinstance(class_name, str):
        return _refusal(path, f"{path.name} asks for pipeline code of its own.")
    for name, entry in index.items():
        fault = _component_fault(path, name, entry)
        if fault:
            return _refusal(path, f"{fault}.")
    return _pipeline(path, class_name, index)


def _refusal(path: Path, sentence: str) -> Found:
    title = details.title_of(path)
    return Found(kind="damaged", form="folder", sentence=sentence, title=title)


def _pipeline(path: Path, class_name: str, index: dict[str, Any]) -> Found:
    denoiser = _denoiser_config(path)
    channels = denoiser.get("in_channels")
    scheduler = read_json(path / "scheduler" / "scheduler_config.json") or {}
    few_step, few_steps = details.few_step_named(details.said_name(path, None))
    if index.get("is_distilled") is True:  # as FLUX.2 klein's say, whatever they are called
        few_step = few_step or "distilled"
    return Found(
        kind="pipeline",
        form="folder",
        sentence=f"{class_name} folder.",
        class_name=class_name,
        architecture=_architecture(class_name, denoiser),
        title=details.title_of(path),
        parts=tuple(sorted(name for name, entry in index.items() if _is_component(name, entry))),
        in_channels=channels if isinstance(channels, int) else 0,
        prediction_type=_prediction(scheduler),
        zero_snr=bool(scheduler.get("rescale_betas_zero_snr")),
        few_step=few_step,
        few_steps=few_steps,
        native_size_px=size_px(path),
        size_bytes=sum(file.stat().st_size for file in path.glob("*/*") if file.is_file()),
    )


def _architecture(class_name: str, denoiser: dict[str, Any]) -> str:
    found = next((slug for begin, slug in _CLASSES if class_name.startswith(begin)), "")
    is_second = found == "sd1" and denoiser.get("cross_attention_dim") == SD2_CONTEXT
    return "sd2" if is_second else found


def _prediction(scheduler: dict[str, Any]) -> Any:
    class_name = str(scheduler.get("_class_name", ""))
    if class_name.startswith("EDM"):
        return "edm"
    if "FlowMatch" in class_name or scheduler.get("use_flow_sigmas"):
        return "flow"
    said = scheduler.get("prediction_type", "epsilon")
    return said if scheduler and said in ("epsilon", "v_prediction") else ""


def _is_component(name: str, entry: object) -> bool:
    """False for plain values, and for a pair of nulls, which means "none"."""
    return not name.startswith("_") and isinstance(entry, list) and all(entry)


def _component_fault(path: Path, name: str, entry: Any) -> str | None:
    """Return what is wrong with one component listed in model_index.json, or None."""
    if not _is_component(name, entry):
        return None
    if entry[0] not in LIBRARIES:
        return f"{path.name} takes its component {name} from an unknown library"
    folder = path / name
    if not folder.is_dir():
        missing = f"{path.name} lacks its component {name}"
        return None if name in OPTIONAL_COMPONENTS else missing
    files = [file for file in folder.iterdir() if file.is_file()]
    if not files:
        return f"The component {name} of {path.name} is empty"
    has_pickle = any(file.suffix in PICKLE_SUFFIXES for file in files)
    if has_pickle and not any(file.suffix == ".safetensors" for file in files):
        return f"The component {name} of {path.name} has its weights only as pickle files"
    return _broken_weights(folder, name)


def _broken_weights(folder: Path, name: str) -> str | None:
    files = sorted(folder.glob("*.safetensors"))
    if name in _DENOISERS and not files:
        return f"The component {name} has no weights"
    for file in files:
        try:
            read_header(file)
        except UnreadableFile as error:
            return f"{name}/{error.sentence.rstrip('.')}"
    return None


def _denoiser_config(path: Path) -> dict[str, Any]:
    found = read_json(path / "unet" / "config.json")
    return found or read_json(path / "transformer" / "config.json") or {}


def size_px(path: Path) -> int | None:
    """The side that the model in a folder was trained at, as its configurations say it."""
    vae = read_json(path / "vae" / "config.json") or {}
    blocks, size = vae.get("block_out_channels"), _denoiser_config(path).get("sample_size")
    if isinstance(size, int) and isinstance(blocks, list):
        return size * int(2 ** (len(blocks) - 1))
    return 1024 if (path / "transformer").is_dir() else None


# One part


def _part_class(path: Path) -> str:
    """The class of a folder that holds one part's configuration and weights; "" otherwise."""
    if not (path / "config.json").is_file() or not any(path.glob("*.safetensors")):
        return ""
    config = read_json(path / "config.json") or {}
    names = config.get("architectures") or []
    found = config.get("_class_name") or (names[0] if isinstance(names, list) and names else "")
    return found if isinstance(found, str) else ""


def _part(path: Path, class_name: str) -> Found:
    fault = _broken_weights(path, path.name)
    if fault:
        return _refusal(path, f"{fault}.")
    is_vae = class_name.startswith(_VAES)
    is_encoder = class_name.startswith(("CLIPText", "T5", "Qwen", "Gemma", "UMT5", "Llama"))
    kind = "vae" if is_vae else "text encoder" if is_encoder else "unknown"
    return Found(
        kind=kind,  # type: ignore[arg-type]
        form="folder",
        sentence=f"{path.name} is a part of a pipeline ({class_name}), not a whole model.",
        class_name=class_name,
        architecture=_part_architecture(path, class_name),
        title=details.title_of(path),
    )


def _part_architecture(path: Path, class_name: str) -> str:
    config = read_json(path / "config.json") or {}
    if class_name == "AutoencoderKL":
        scale = float(config.get("scaling_factor") or 0)
        return {0.18215: "sd1", 0.13025: "sdxl", 1.5305: "sd3", 0.3611: "flux"}.get(scale, "")
    if class_name.startswith("CLIPText"):
        return {768: "clip-l", 1024: "clip-h", 1280: "clip-g"}.get(
            int(config.get("hidden_size") or 0), ""
        )
    return "t5" if "T5" in class_name else ""
