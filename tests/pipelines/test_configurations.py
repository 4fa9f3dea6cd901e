"""What ships with the program builds the models that it is for, without the network."""

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from tests.recognition import names
from tests.recognition.headers import Shapes, write_header
from worker.pipelines.configurations import (
    CLIP_TOKENIZER,
    SHIPPED,
    T5_TOKENIZER,
    configuration_for,
)
from worker.recognition.recognise import recognise

# Of the published models.
NUMBERS = {
    ("sd1", "unet"): 859_520_964,
    ("sd1", "vae"): 83_653_863,
    ("sd1", "text_encoder"): 123_060_480,
    ("sd2", "unet"): 865_910_724,
    ("sd2", "text_encoder"): 340_387_840,
    ("sdxl", "unet"): 2_567_463_684,
    ("sdxl", "text_encoder_2"): 694_659_840,
    ("sd3", "text_encoder_3"): 4_762_310_656,
    ("flux-dev", "transformer"): 11_901_408_320,
    ("flux-schnell", "transformer"): 11_891_178_560,
    ("sd35-large", "transformer"): 8_056_627_520,
    ("flux-dev", "vae"): 83_819_683,
}
FOLDERS = sorted(path.name for path in SHIPPED.iterdir() if (path / "model_index.json").is_file())


def part_of(name: str, part: str) -> Any:
    """The component with the right shapes and no weights."""
    library, class_name = json.loads((SHIPPED / name / "model_index.json").read_text())[part]
    found = getattr({"diffusers": diffusers, "transformers": transformers}[library], class_name)
    with torch.device("meta"):
        if library == "diffusers":
            return found.from_config(found.load_config(SHIPPED / name, subfolder=part))
        return found(found.config_class.from_pretrained(SHIPPED / name / part))


@pytest.mark.parametrize(("name", "part"), NUMBERS, ids="/".join)
def test_a_part_has_as_many_numbers_as_the_published_one(name: str, part: str) -> None:
    made = part_of(name, part)
    assert sum(each.numel() for each in made.parameters()) == NUMBERS[name, part]


@pytest.mark.parametrize("name", FOLDERS)
def test_every_configuration_builds_every_part(name: str) -> None:
    index = json.loads((SHIPPED / name / "model_index.json").read_text())
    assert hasattr(diffusers, index["_class_name"])
    for part, entry in index.items():
        if not isinstance(entry, list) or not all(entry) or part.startswith("tokenizer"):
            continue
        if part == "scheduler":
            folder = SHIPPED / name
            assert getattr(diffusers, entry[1]).from_pretrained(folder, subfolder=part)
        else:
            assert part_of(name, part)


@pytest.mark.parametrize(
    ("file", "shapes", "name"),
    [
        ("a", names.SD1, "sd1"),
        ("v2-1_768-ema-pruned", names.SD2, "sd2"),
        ("v2-1_512-base", names.SD2, "sd2-base"),
        ("a", names.sdxl(), "sdxl"),
        ("a", names.sdxl(channels=9), "sdxl-inpaint"),
        ("a", names.SD3, "sd3"),
        ("a", names.flux(), "flux-dev"),
        ("a", names.flux(guidance=False), "flux-schnell"),
    ],
)
def test_a_published_file_is_read_with_the_configuration_of_its_shapes(
    file: str, shapes: Shapes, name: str, tmp_path: Path
) -> None:
    path = write_header(tmp_path / f"{file}.safetensors", shapes)
    assert configuration_for(path, recognise(path)) == SHIPPED / name


def test_the_clip_tokenizer_is_the_published_one() -> None:
    tokenizer = transformers.CLIPTokenizer.from_pretrained(CLIP_TOKENIZER, local_files_only=True)
    assert len(tokenizer) == 49408
    assert tokenizer.model_max_length == 77
    said = tokenizer("a photo of an astronaut riding a horse on mars").input_ids
    assert said == [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496, 49407]


def test_the_t5_tokenizer_is_the_published_one() -> None:
    tokenizer = transformers.T5Tokenizer.from_pretrained(T5_TOKENIZER, local_files_only=True)
    assert len(tokenizer) == 32100
    said = tokenizer("translate English to German: That is good.").input_ids
    assert said == [13959, 1566, 12, 2968, 10, 466, 19, 207, 5, 1]


def test_every_licence_is_named() -> None:
    said = (SHIPPED / "LICENCES.md").read_text(encoding="utf-8")
    assert "MIT" in said
    for folder in ("tokenizers/clip", "tokenizers/t5"):
        assert f"`{folder}`" in said
