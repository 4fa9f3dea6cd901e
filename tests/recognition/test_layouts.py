"""Every layout is told by its header alone, and docs/models.md says what becomes of it."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import infer_diffusers_model_type

from tests.recognition import names
from tests.recognition.document import DOCUMENT, written
from tests.recognition.headers import Shapes, wrapped, write_header
from tests.recognition.layouts import EVERY, Layout
from worker.pipelines.inspect import inspect_path
from worker.recognition.recognise import recognise


@pytest.mark.parametrize("layout", EVERY, ids=lambda each: each.what)
def test_a_layout_is_told_by_its_header(layout: Layout, tmp_path: Path) -> None:
    layout.write(tmp_path / layout.name)
    found = asdict(recognise(tmp_path / layout.name))
    wanted: dict[str, Any] = {"kind": layout.kind, "architecture": layout.architecture}
    wanted |= {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in layout.said.items()
    }
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize("layout", EVERY, ids=lambda each: each.what)
def test_of_each_one_clear_sentence_is_said(layout: Layout, tmp_path: Path) -> None:
    layout.write(tmp_path / layout.name)
    sentence = inspect_path(tmp_path / layout.name).sentence
    assert sentence.endswith(".")
    assert "  " not in sentence
    assert str(tmp_path) not in sentence


def test_the_document_says_what_becomes_of_each_layout(tmp_path: Path) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == written(tmp_path), (
        "run python -m tests.recognition.document"
    )


@pytest.mark.parametrize(
    ("shapes", "theirs"),
    [
        (names.SD1, "v1"),
        (names.SD2, "v2"),
        (names.sdxl(), "xl_base"),
        (names.sdxl(channels=9), "xl_inpaint"),
        (names.REFINER, "xl_refiner"),
        (names.flux(), "flux-dev"),
        (names.flux(guidance=False), "flux-schnell"),
        (names.flux(channels=384), "flux-fill"),
        (names.FLUX2, "flux-2-dev"),
        (names.CHROMA, "chroma"),
        (names.Z_IMAGE, "z-image-turbo"),
        (names.LUMINA2, "lumina2"),
        (names.AURAFLOW, "auraflow"),
        (names.CASCADE, "stable_cascade_stage_c"),
        (names.HIDREAM, "hidream"),
        (names.WAN, "wan-t2v-1.3B"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_layouts_of_the_tests_are_those_that_diffusers_tells_apart(
    shapes: Shapes, theirs: str
) -> None:
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in shapes.items()}
    assert infer_diffusers_model_type(tensors) == theirs


def test_a_header_is_read_however_many_wrap_its_names(tmp_path: Path) -> None:
    for number, prefix in enumerate(("model.diffusion_model.", "", "diffusion_model.")):
        path = write_header(tmp_path / f"{number}.safetensors", wrapped(names.Z_IMAGE, prefix))
        assert recognise(path).architecture == "z-image"


@pytest.mark.parametrize("begin", [b"<!", b"\x80\x02", b"\x80\x04", b"\x1f\x8b"])
def test_a_header_whose_length_looks_like_another_file_is_read(
    begin: bytes, tmp_path: Path
) -> None:
    path = write_header(tmp_path / "one.safetensors", {"emb_params": (1, 768)})
    raw = path.read_bytes()
    length = int.from_bytes(begin, "little")
    path.write_bytes(length.to_bytes(8, "little") + raw[8:-1536].ljust(length) + bytes(1536))
    assert path.read_bytes().startswith(begin)
    assert recognise(path).kind == "embedding"


def test_a_title_comes_from_the_author_the_repository_or_the_file_and_never_from_a_hash(
    tmp_path: Path,
) -> None:
    digest = "9f2c" * 10
    in_cache = tmp_path / "models--somebody--fine-model" / "snapshots" / digest
    path = write_header(in_cache / "model.safetensors", names.SD1)
    assert recognise(path).title == "fine-model"
    by_hash = write_header(tmp_path / "mine" / f"{digest}.safetensors", names.SD1)
    assert recognise(by_hash).title == "mine"
    said = {"modelspec.title": "Fine Model v2"}
    titled = write_header(tmp_path / f"{digest}.safetensors", names.SD1, metadata=said)
    assert recognise(titled).title == "Fine Model v2"
    untitled = write_header(tmp_path / "x.safetensors", names.SD1, metadata={"modelspec.title": ""})
    assert recognise(untitled).title == "x"


def test_recognition_needs_the_standard_library_alone(tmp_path: Path) -> None:
    script = (
        "import sys; before = set(sys.modules);"
        "import worker.pipelines.inspect;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(*sorted(new - set(sys.stdlib_module_names) - {'worker'}))"
    )
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert said.stdout.split() == []
