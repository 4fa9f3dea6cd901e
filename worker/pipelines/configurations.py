"""Which configuration a single file is read with: its own, in `NAME.config/` beside it, or one of
those that ship with the program. Standard library only."""

from pathlib import Path
from typing import Final

from worker.recognition.folders import INDEX
from worker.recognition.found import Found

SHIPPED: Final = Path(__file__).parents[1] / "configurations"
CLIP_TOKENIZER: Final = SHIPPED / "tokenizers" / "clip"
T5_TOKENIZER: Final = SHIPPED / "tokenizers" / "t5"
INPAINTING_CHANNELS: Final = 9


def configuration_of(path: Path) -> Path:
    """The folder beside a single file that holds its own configuration and tokenizers."""
    return path.with_suffix(".config")


def configuration_for(path: Path, found: Found) -> Path:
    """The folder that the file is read with."""
    own = configuration_of(path)
    return own if (own / INDEX).is_file() else SHIPPED / configuration_name(found)


def configuration_name(found: Found) -> str:
    """Of those that ship with the program the one that fits."""
    architecture = found.architecture
    if architecture == "sd3":
        return {"3.5-large": "sd35-large", "3.5-medium": "sd35-medium"}.get(found.variant, "sd3")
    if architecture == "flux":
        return "flux-schnell" if found.few_step == "schnell" else "flux-dev"
    if found.in_channels == INPAINTING_CHANNELS:
        return f"{architecture}-inpaint"
    return (
        "sd2-base" if architecture == "sd2" and found.prediction_type == "epsilon" else architecture
    )
