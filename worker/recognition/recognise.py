"""What a file or folder is, and a sentence for it. Never raises for what is found there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from worker.recognition import adapters, details
from worker.recognition.folders import is_model_folder, recognise_folder
from worker.recognition.found import Found
from worker.recognition.headers import (
    ARCHIVE_SUFFIXES,
    PICKLE_SUFFIXES,
    WEIGHT_SUFFIXES,
    Header,
    UnreadableFile,
    read_header,
)
from worker.recognition.names import NAMES
from worker.recognition.signs import Match, match

# How the first names of tensors tell which parts of a pipeline a file holds.
PARTS: Final = (
    ("cond_stage_model.transformer.", "clip-l"),
    ("cond_stage_model.model.", "clip-h"),
    ("conditioner.embedders.0.transformer.", "clip-l"),
    ("conditioner.embedders.0.model.", "clip-g"),
    ("conditioner.embedders.1.model.", "clip-g"),
    ("text_encoders.clip_l.", "clip-l"),
    ("text_encoders.clip_g.", "clip-g"),
    ("text_encoders.t5xxl.", "t5"),
    ("first_stage_model.", "vae"),
    ("vae.", "vae"),
)
ALGORITHM_NAMES: Final = {
    "lora": "a LoRA",
    "locon": "a LoCon (a LoRA of convolutions)",
    "loha": "a LoHa",
    "lokr": "a LoKr",
    "dora": "a DoRA",
    "glora": "a GLoRA",
    "oft": "an OFT adapter",
    "boft": "a BOFT adapter",
    "ia3": "an IA3 adapter",
    "full": "a set of full differences",
    "norm": "a set of differences of norms",
}
_VAE_CHANNELS: Final = {4: "sd1", 16: "flux", 32: "flux2"}
LATENTS: Final = 4
_SUFFIXES: Final = WEIGHT_SUFFIXES | PICKLE_SUFFIXES | ARCHIVE_SUFFIXES
# A file's configuration, and a download that is not done.
_ASIDE: Final = (".config", ".partial")
REPAINTING_CHANNELS: Final = 9
_PREDICTIONS: Final = {
    "v_prediction": ", v-prediction",
    "edm": ", EDM",
    "unknown": ", whose prediction type is found out when it is loaded",
}
_SIZES_PX: Final = {"sd1": 512, "sd2": 768, "sd-upscaler": 512}


def recognise(path: Path) -> Found:
    """What is at `path`."""
    if path.is_dir():
        return recognise_folder(path)
    suffix = path.suffix.lower()
    if not path.is_file() and suffix not in PICKLE_SUFFIXES:
        return Found(kind="unknown", form=None, sentence=f"There is no model at {path.name}.")
    try:
        return _recognise_header(path, read_header(path))
    except UnreadableFile as error:
        size_bytes = path.stat().st_size if path.is_file() else 0
        title = details.title_of(path)
        return Found(
            kind=error.kind,
            form="file",
            sentence=error.sentence,
            title=title,
            size_bytes=size_bytes,
        )


def walk(path: Path) -> Iterator[Path]:
    """The models below a folder, each once, in order: folders that are one, and files that may be
    one or part of one. A path that is no folder, or is a model, is the only one."""
    if not path.is_dir() or is_model_folder(path):
        yield path
        return
    yield from _walk(path, frozenset())


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    here = folder.resolve()
    if here in above:  # a link that leads back
        return
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for path in inside:
        if path.name.startswith(".") or path.name.endswith(_ASIDE):
            continue
        is_folder = path.is_dir()
        if is_model_folder(path) if is_folder else path.suffix.lower() in _SUFFIXES:
            yield path
        elif is_folder:
            yield from _walk(path, above | {here})


# One file


def _recognise_header(path: Path, header: Header) -> Found:
    found = _kind(path, header)
    return replace(
        found,
        title=details.title_of(path, header.metadata),
        dtype=details.dtype_of(header),
        licence=details.licence_of(header.metadata),
        size_bytes=header.size_bytes,
        identity=header.identity,
    )


def _kind(path: Path, header: Header) -> Found:
    matched = match(header)
    if matched is not None and matched.sign.kind == "checkpoint":
        return _checkpoint(path, header, matched)
    if matched is not None:
        return _part(path, header, matched)
    adapter = adapters.adapter_in(header)
    if adapter is not None:
        return _adapter(path, header, adapter)
    embedding = adapters.embedding_in(header)
    if embedding is not None:
        return _embedding(path, header, embedding)
    return _unknown(path, header)


def _adapter(path: Path, header: Header, adapter: adapters.Adapter) -> Found:
    what = ALGORITHM_NAMES[adapter.algorithm]
    base = f" for {NAMES[adapter.architecture]}" if adapter.architecture else ""
    return Found(
        kind="lora",
        form="file",
        sentence=f"{path.name} is {what}{base}, not a whole model.",
        architecture=adapter.architecture,
        variant=adapter.algorithm,
        rank=adapter.rank,
        alpha=adapter.alpha,
        trigger_words=adapters.trigger_words(header.metadata),
        base=header.metadata.get("ss_sd_model_name", "")[:200],
    )


def _embedding(path: Path, header: Header, architecture: str) -> Found:
    base = f" for {NAMES[architecture]}" if architecture else ""
    return Found(
        kind="embedding",
        form="file",
        sentence=f"{path.name} is a textual inversion{base}, not a whole model.",
        architecture=architecture,
        trigger_words=adapters.trigger_words(header.metadata) or (path.stem,),
    )


def _unknown(path: Path, header: Header) -> Found:
    first = next(iter(header.tensors), "")
    what = f"its first tensor is {first[:80]}" if first else "it holds no tensors"
    sentence = f"{path.name} is not a checkpoint of a known family: {what}."
    return Found(kind="unknown", form="file", sentence=sentence)


def _part(path: Path, header: Header, matched: Match) -> Found:
    sign = matched.sign
    architecture = sign.architecture
    channels = header.shape(f"{matched.prefix}decoder.conv_in.weight")[1:2]
    if sign.kind == "vae" and not architecture and channels:
        architecture = _vae_architecture(details.said_name(path, header), channels[0])
    what = {
        "vae": "a VAE",
        "controlnet": "a ControlNet",
        "ip-adapter": "an IP-Adapter",
        "upscaler": "an upscaler of the ESRGAN kind",
        "text encoder": "a text encoder",
    }[sign.kind]
    known = NAMES.get(architecture, "")
    of = f" ({known})" if sign.kind == "text encoder" else f" for {known}"
    return Found(
        kind=sign.kind,
        form="file",
        sentence=f"{path.name} is {what}{of if known else ''}, not a whole model.",
        architecture=architecture,
        variant=sign.variant or sign.layout,
    )


def _vae_architecture(name: str, channels: int) -> str:
    """Of some architectures the VAEs have the same shapes: then names tell."""
    if channels == LATENTS and "xl" in name:
        return "sdxl"
    is_sd3 = channels == 16 and any(word in name for word in ("sd3", "stable-diffusion-3"))
    return "sd3" if is_sd3 else _VAE_CHANNELS.get(channels, "")


def _checkpoint(path: Path, header: Header, matched: Match) -> Found:
    sign, prefix = matched.sign, matched.prefix
    channels = (*header.shape(f"{_prefix_of(sign.channels, prefix)}{sign.channels}"), 0, 0)[1]
    prediction, zero_snr = details.prediction_of(sign.architecture, header, path, channels=channels)
    few_step, few_steps = details.few_step_of(sign.architecture, header, path, prefix)
    trained = _trained(prediction, zero_snr, few_step, few_steps)
    variant = _variant(sign.architecture, channels, header, prefix)
    return Found(
        kind="checkpoint",
        form="file",
        sentence=f"{_named(sign.architecture, variant)}{trained}.",
        architecture=sign.architecture,
        variant=variant,
        parts=tuple(_parts(header)) if sign.layout == "published" else (),
        in_channels=channels,
        layout=sign.layout,
        prefix=prefix,
        prediction_type=prediction,
        zero_snr=zero_snr,
        few_step=few_step,
        few_steps=few_steps,
        native_size_px=_size_px(sign.architecture, prediction),
    )


def _size_px(architecture: str, prediction: str) -> int:
    # Of Stable Diffusion 2 the smaller ones predict noise.
    is_small = architecture == "sd2" and prediction == "epsilon"
    return 512 if is_small else _SIZES_PX.get(architecture, 1024)


def _prefix_of(name: str, prefix: str) -> str:
    return "" if name.startswith("model.diffusion_model.") else prefix


def _variant(architecture: str, channels: int, header: Header, prefix: str) -> str:
    if architecture in details.BY_NOISE:
        names = {REPAINTING_CHANNELS: "inpaint", 8: "instruct"}
        return names.get(channels, "")
    if architecture == "flux":
        # Packed two by two: latents; latents and those of an image; and a mask of 8x8 pixels.
        return {384: "fill", 128: "control"}.get(channels, "")
    return _version_of_sd3(header, prefix) if architecture == "sd3" else ""


def _trained(prediction: str, zero_snr: bool, few_step: str, few_steps: int) -> str:
    """What tells it from the plain model of its architecture; "" if nothing does."""
    said = _PREDICTIONS.get(prediction, "") + (" with zero terminal SNR" if zero_snr else "")
    if few_step:
        said += f", {few_step}" + (f" for {few_steps} steps" if few_steps else "")
    return said


def _version_of_sd3(header: Header, prefix: str) -> str:
    names = ("joint_blocks.37.x_block.mlp.fc1.weight", "transformer_blocks.37.ff.net.2.weight")
    if any(f"{prefix}{name}" in header.tensors for name in names):
        return "3.5-large"
    names = ("joint_blocks.0.x_block.attn2.qkv.weight", "transformer_blocks.0.attn2.to_q.weight")
    return "3.5-medium" if any(f"{prefix}{name}" in header.tensors for name in names) else ""


def _named(architecture: str, variant: str) -> str:
    name = NAMES[architecture]
    name = name[:1].upper() + name[1:]
    return f"{name} checkpoint" + (f" ({variant})" if variant else "")


def _parts(header: Header) -> Iterator[str]:
    for part in dict.fromkeys(part for _prefix, part in PARTS):
        if any(f"\n{prefix}" in header.text for prefix, of in PARTS if of == part):
            yield part
