"""LoRAs and their like, and textual inversions: the algorithm, the base, rank, trigger words.

Names as kohya's sd-scripts and LyCORIS (`lora_unet_...`), PEFT (`lora_A`) and diffusers
(`lora.down`) write them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from worker.recognition.headers import Header

# A piece of a tensor's name -> the algorithm; the first that is found counts.
ALGORITHMS: Final = (
    ("loha", (".hada_w1_a",)),
    ("lokr", (".lokr_w1", ".lokr_w1_a")),
    ("oft", (".oft_blocks", ".oft_diag", ".oft_R.weight")),
    ("boft", (".boft_R",)),
    ("glora", (".a1.weight",)),
    ("ia3", (".on_input", ".ia3_l")),
    ("dora", (".dora_scale", ".lora_magnitude_vector", ".lora_magnitude_vector.weight")),
)
DOWN: Final = (
    ".lora_down.weight",
    ".lora_A.weight",
    ".lora_A.default.weight",
    ".lora.down.weight",
    "_lora.down.weight",
    ".lora_linear_layer.down.weight",
    ".lora_A",
)
# Whole differences, and those of norms: alone, or beside one of the above.
FULL, NORM = (".diff", ".diff_b"), (".w_norm", ".b_norm")
# A piece of a name -> the architecture that has it. The more particular stand first.
BASES: Final = (
    ("sdxl", ("lora_te2_", "lora_unet_label_emb", "text_encoder_2.text_model.encoder.layers.31.")),
    ("chroma", ("distilled_guidance_layer",)),
    ("hidream", ("double_stream_blocks", "single_stream_blocks")),
    ("qwen-image", ("img_mlp.net", "_img_mlp_net", ".img_mod.1", "_img_mod_1")),
    ("flux", ("single_transformer_blocks", "double_blocks", "single_blocks")),
    ("sd3", ("joint_blocks", "transformer_blocks.0.attn.add_k_proj", "attn_add_k_proj")),
    ("z-image", ("context_refiner.0.attention", "noise_refiner.0.attention", "layers.0.attention.",
                 "layers_0_attention_")),
    ("cascade", ("lora_prior_unet", "clip_txt_mapper")),
    ("video", ("blocks.0.self_attn.q", "blocks_0_self_attn_q")),
)  # fmt: skip
_UNET: Final = ("down_blocks", "input_blocks", "up_blocks", "output_blocks")
# What trainers call the base in `ss_base_model_version` and `modelspec.architecture`.
SAID: Final = (
    ("sdxl", ("sdxl", "stable-diffusion-xl")),
    ("sd3", ("sd3", "stable-diffusion-3")),
    ("flux2", ("flux2", "flux-2", "flux.2")),
    ("flux", ("flux",)),
    ("chroma", ("chroma",)),
    ("z-image", ("zimage", "z-image", "z_image")),
    ("qwen-image", ("qwen",)),
    ("lumina2", ("lumina",)),
    ("hidream", ("hidream",)),
    ("sd2", ("sd_v2", "stable-diffusion-v2", "sd2", "stable diffusion 2")),
    ("sd1", ("sd_v1", "stable-diffusion-v1", "sd1", "sd 1", "stable diffusion 1")),
)
# The width of the text that cross-attention reads.
CONTEXTS: Final = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
_CONTEXT: Final = re.compile(r"attn2[._](?:processor[._])?to_[kv]")
_LAST: Final = re.compile(r"\.([^.\n]+)\n")
_REPEATS: Final = re.compile(r"^\d+_(.+)$")
MOST_WORDS: Final = 12
# LyCORIS' factors whose last axis is the rank.
RANKED: Final = (".hada_w1_a", ".lokr_w1_a", ".lokr_w2_a")
# Enough to see which rank most have.
MOST_LAYERS: Final = 300
# Of embeddings: the width of a word -> the architecture.
WORDS: Final = {768: "sd1", 1024: "sd2", 1280: "sdxl", 4096: "flux"}
MOST_TOKENS: Final = 512


@dataclass(frozen=True, slots=True)
class Adapter:
    """`algorithm`: lora, locon, loha and so on, as LyCORIS calls them, and dora, full, norm.
    `rank` 0 and `alpha` None: not told."""

    algorithm: str
    architecture: str
    rank: int
    alpha: float | None


def adapter_in(header: Header) -> Adapter | None:
    """What kind of adapter the file is; None if it is none."""
    algorithm = _algorithm(header)
    if not algorithm:
        return None
    return Adapter(algorithm, _base(header), _rank(header), _alpha(header))


def _algorithm(header: Header) -> str:
    endings = _endings(header)
    for algorithm, known in ALGORITHMS:
        if not endings.isdisjoint(known):
            return algorithm
    if not endings.isdisjoint(DOWN):
        return "locon" if _has_convolutions(header) else "lora"
    if not endings.isdisjoint(FULL):
        return "full"
    return "" if endings.isdisjoint(NORM) else "norm"


def _endings(header: Header) -> set[str]:
    """Those of the tables above that names end in. What stands behind the last dots is few, so
    that most need no look through all names."""
    last = set(_LAST.findall(header.text))
    known = (*chain.from_iterable(endings for _, endings in ALGORITHMS), *DOWN, *FULL, *NORM)
    possible = (ending for ending in known if ending.rpartition(".")[2] in last)
    return {ending for ending in possible if f"{ending}\n" in header.text}


def _has_convolutions(header: Header) -> bool:
    """True with one that slides over its input: 1x1 convolutions stand for plain layers."""
    items = ((name, entry["shape"]) for name, entry in header.tensors.items())
    return any(
        len(shape) == 4 and shape[-2:] != [1, 1] and name.endswith(DOWN) for name, shape in items
    )


def _base(header: Header) -> str:
    is_unet = any(piece in header.text for piece in _UNET)
    for architecture, pieces in BASES[:1] if is_unet else BASES:
        if any(piece in header.text for piece in pieces):
            return _flux_version(header) if architecture == "flux" else architecture
    widths = (
        header.shape(name)[1]
        for name in header.tensors
        if _CONTEXT.search(name) and name.endswith(DOWN) and len(header.shape(name)) > 1
    )
    found = (CONTEXTS[width] for width in widths if width in CONTEXTS)
    return next(found, "") or said_base(header.metadata)


def _flux_version(header: Header) -> str:
    """FLUX.2 has the blocks' names of FLUX.1; trainers say which it is, or its one shared
    modulation does."""
    pieces = ("single_stream_modulation", "single_transformer_blocks.0.attn.to_qkv_mlp_proj")
    is_second = any(piece in header.text for piece in pieces)
    return "flux2" if is_second or said_base(header.metadata) == "flux2" else "flux"


def said_base(metadata: dict[str, str]) -> str:
    """The architecture that the file's own words name; "" if they name none that is known."""
    keys = ("modelspec.architecture", "ss_base_model_version", "base_model")
    said = " ".join(metadata.get(key, "") for key in keys).lower()
    return next((slug for slug, words in SAID if any(word in said for word in words)), "")


def _rank(header: Header) -> int:
    """The rank that most of its layers have."""
    items = list(islice(header.tensors.items(), MOST_LAYERS))
    ranks = [entry["shape"][0] for name, entry in items if entry["shape"] and name.endswith(DOWN)]
    ranks += [
        entry["shape"][-1] for name, entry in items if entry["shape"] and name.endswith(RANKED)
    ]
    if ranks:
        return int(max(set(ranks), key=ranks.count))
    said = header.metadata.get("ss_network_dim", "")
    return int(said) if said.isdigit() else 0


def _alpha(header: Header) -> float | None:
    said = header.metadata.get("ss_network_alpha") or _adapter_alpha(header.metadata)
    try:
        return float(said) if said not in (None, "", "None") else None
    except (TypeError, ValueError):
        return None


def _adapter_alpha(metadata: dict[str, str]) -> Any:
    """PEFT's own, which newer versions of diffusers write into the header."""
    config = _json(metadata.get("lora_adapter_metadata", ""))
    keys = (key for key in config if key.endswith("lora_alpha"))
    return next((config[key] for key in keys if not isinstance(config[key], dict)), None)


def trigger_words(metadata: dict[str, str]) -> tuple[str, ...]:
    """Words that call up what was trained, as the trainer wrote them down; () if it did not."""
    said = metadata.get("modelspec.trigger_phrase") or metadata.get("modelspec.trigger_words")
    if said:
        return _words(said.split(","))
    folders = (_REPEATS.match(name) for name in _json(metadata.get("ss_dataset_dirs", "")))
    named = _words(found[1] for found in folders if found)
    return named or _words(_always_tagged(metadata))


def _words(words: Iterator[str] | list[str]) -> tuple[str, ...]:
    cleaned = (word.strip()[:80] for word in words)
    return tuple(dict.fromkeys(word for word in cleaned if word))[:MOST_WORDS]


def _always_tagged(metadata: dict[str, str]) -> Iterator[str]:
    """The tag that stands at all images of a folder of the training's."""
    for counts in _json(metadata.get("ss_tag_frequency", "")).values():
        if not isinstance(counts, dict):
            continue
        numbers = {tag: n for tag, n in counts.items() if isinstance(n, int)}
        most = max(numbers.values(), default=0)
        yield from (tag for tag, number in numbers.items() if number == most)


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def embedding_in(header: Header) -> str | None:
    """The architecture whose words a textual inversion stands beside ("" if that is not to be
    told); None if the file is none."""
    names = set(header.tensors)
    if names and names <= {"clip_l", "clip_g", "t5xxl"}:
        return "sdxl" if "clip_g" in names else "flux" if "t5xxl" in names else "sd1"
    if len(names) != 1 or "." in next(iter(names)).strip("<>"):
        return None
    shape = header.shape(next(iter(names)))
    is_words = len(shape) == 1 or (len(shape) == 2 and 0 < shape[0] <= MOST_TOKENS)
    return WORDS.get(shape[-1], "") if shape and is_words and shape[-1] in WORDS else None
