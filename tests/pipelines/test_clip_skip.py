"""CLIP skip, counted as AUTOMATIC1111's web UI does: 1 is the layer that the model was trained
with, 2 the one before it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipelines.drawing import ask, draw
from tests.pipelines.test_loras import Studio
from worker.config import EngineConfig
from worker.engine.errors import InvalidRequest
from worker.engine.request import ModelSource
from worker.pipelines.loader import load_model
from worker.pipelines.prompts import embed
from worker.pipelines.runner import DiffusersRunner


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("skips"))


@pytest.fixture(scope="module")
def runner() -> DiffusersRunner:
    return DiffusersRunner(EngineConfig(device="cpu", threads=1, preview_every=0))


def embeddings(studio: Studio, family: str, **changes: Any) -> torch.Tensor:
    request = ask(studio.model_dir(family), family=family, **changes)
    return embed(studio.load(family), request, guided=False).positive


def test_stable_diffusion_is_told_an_earlier_layer_normalised(studio: Studio) -> None:
    """diffusers 0.42.1 looks for `text_model` in the encoder, which transformers 5 has no more."""
    pipe = studio.reference("sd")
    words = pipe.tokenizer("a fox", padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        layers = pipe.text_encoder(words, output_hidden_states=True).hidden_states
        wanted = pipe.text_encoder.final_layer_norm(layers[-2])
    assert torch.equal(embeddings(studio, "sd", prompt="a fox", clip_skip=2), wanted)
    assert not torch.equal(embeddings(studio, "sd", prompt="a fox"), wanted)


def test_sdxl_is_told_what_diffusers_tells_it(studio: Studio, tmp_path: Path) -> None:
    pipe: Any = studio.reference("sdxl")
    for name in ("text_encoder", "text_encoder_2"):  # the tiny ones have no layer to go back to
        encoder = getattr(pipe, name)
        encoder.config.num_hidden_layers = 4
        setattr(pipe, name, type(encoder)(encoder.config).eval())
    pipe.save_pretrained(tmp_path)
    source = ModelSource("tiny", "sdxl", "folder", str(tmp_path))
    request = ask(tmp_path, family="sdxl", prompt="a fox", clip_skip=3)
    told = embed(load_model(source, EngineConfig(device="cpu")), request, guided=False).positive
    asked = {"prompt": "a fox", "do_classifier_free_guidance": False, "device": "cpu"}
    assert torch.equal(told, pipe.encode_prompt(**asked, clip_skip=2)[0])
    assert not torch.equal(told, pipe.encode_prompt(**asked)[0])


def test_more_than_the_encoder_has_is_refused_and_other_words_are_not_mixed_up(
    studio: Studio, runner: DiffusersRunner, tiny_model_dir: Path
) -> None:
    with pytest.raises(InvalidRequest, match="CLIP skip must be at most"):
        embeddings(studio, "sd", clip_skip=12)
    with pytest.raises(InvalidRequest, match="CLIP skip must be at least 1"):
        ask(tiny_model_dir, clip_skip=0)
    plain, skipped = (draw(runner, ask(tiny_model_dir, clip_skip=n))[0] for n in (1, 2))
    assert not torch.equal(plain, skipped)
    assert torch.equal(draw(runner, ask(tiny_model_dir, clip_skip=1))[0], plain)
