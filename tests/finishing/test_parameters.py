"""The parameters text reads back as it was written, and as other tools expect it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.finishing.parameters import Parameters, read_parameters, write_parameters

PLAIN = Parameters(
    prompt="a cat",
    negative_prompt="a dog",
    steps=20,
    sampler="Euler a",
    guidance_scale=7.0,
    seed=1,
    width_px=512,
    height_px=768,
    model="starter",
    version="darkroom 0.1.0",
)


def changed(**changes: object) -> Parameters:
    values = {name: getattr(PLAIN, name) for name in Parameters.__dataclass_fields__}
    return Parameters(**(values | changes))


def test_the_text_is_what_other_tools_write() -> None:
    assert write_parameters(changed(sampler="DPM++ 2M Karras", model_hash="abc123")) == (
        "a cat\n"
        "Negative prompt: a dog\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, "
        "Size: 512x768, Model hash: abc123, Model: starter, Version: darkroom 0.1.0"
    )


def test_the_strength_goes_by_the_name_that_other_tools_give_it() -> None:
    assert ", Denoising strength: 0.35, " in write_parameters(
        changed(more={"Denoising strength": "0.35"})
    )
    assert "Denoising" not in write_parameters(PLAIN)


def test_an_empty_negative_prompt_has_no_line() -> None:
    text = write_parameters(changed(negative_prompt=""))
    assert text.startswith("a cat\nSteps: 20")


def test_values_with_commas_colons_or_breaks_are_json_quoted() -> None:
    name = 'big, "bold": model\n2'
    last_line = write_parameters(changed(model=name)).split("\n")[-1]
    assert f"Model: {json.dumps(name)}" in last_line


@pytest.mark.parametrize(
    "parameters",
    [
        PLAIN,
        changed(prompt="노란 배경의 고양이, 수채화", negative_prompt="흐림"),
        changed(prompt="first line\nsecond, line: with signs", negative_prompt="a\nb, c"),
        changed(prompt="", negative_prompt=""),
        changed(more={"Style": "anime", "Denoising strength": "0.35"}),
        changed(prompt=""),
        changed(model='모델, "두 번째": 판\n2', model_hash="ff00"),
        changed(sampler="DPM++ 2M Karras", guidance_scale=7.25, seed=2**64 - 1),
        changed(prompt="Steps: 3, Sampler: x, CFG scale: 1, Seed: 1, Size: 1x1"),
    ],
)
def test_a_text_reads_back_as_it_was_written(parameters: Parameters) -> None:
    assert read_parameters(write_parameters(parameters)) == parameters


LINES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(prompt=LINES, model=LINES.map(str.strip))
def test_any_prompt_and_model_name_reads_back(prompt: str, model: str) -> None:
    parameters = changed(prompt=prompt, model=model)
    assert read_parameters(write_parameters(parameters)) == parameters


@pytest.mark.parametrize(
    "text", ["", "a cat", "a cat\nSteps: 20, Seed: 1", "Size: 1x1, a: b, c: d"]
)
def test_a_text_without_parameters_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="generation parameters"):
        read_parameters(text)
