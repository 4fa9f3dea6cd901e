"""Models are found, refused with a sentence, or loaded; pickles are never opened."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.pipelines.original_layout import write_original_file
from tests.pipelines.tiny_transformers import build_tiny_sd3
from worker.config import EngineConfig
from worker.engine.errors import EngineError, ModelUnavailable
from worker.engine.request import ModelKind, ModelSource
from worker.pipelines.devices import choose_device
from worker.pipelines.fitting import Room
from worker.pipelines.inspect import inspect_path
from worker.pipelines.loader import choose_dtype, load_model, plan_model
from worker.pipelines.memory import weight_bytes
from worker.pipelines.sizes import measure

CPU = EngineConfig(device="cpu")


def source(path: Path, *, kind: ModelKind = "folder", family: str = "sd") -> ModelSource:
    return ModelSource("tiny", family, kind, str(path))


@pytest.fixture
def copy(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "copy"))


def test_a_folder_loads_and_is_described(tiny_model_dir: Path) -> None:
    model = load_model(source(tiny_model_dir), CPU)
    assert type(model.pipeline).__name__ == "StableDiffusionPipeline"
    assert model.pipeline.safety_checker is None
    found = inspect_path(tiny_model_dir)
    assert (found.family, found.form, found.usable, found.native_size_px) == (
        "sd",
        "folder",
        True,
        128,
    )


def test_the_tiny_model_is_tiny_and_the_same_each_time(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    from worker.pipelines.tiny import build_tiny_stable_diffusion

    again = build_tiny_stable_diffusion(tmp_path / "again")
    files = [file.relative_to(again) for file in again.rglob("*") if file.is_file()]
    assert sum((again / file).stat().st_size for file in files) < 5_000_000
    for file in files:
        assert (again / file).read_bytes() == (tiny_model_dir / file).read_bytes(), file


def test_loading_never_asks_the_network(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load_model(source(tiny_model_dir), CPU)


def test_a_folder_with_half_precision_files_only_loads(copy: Path) -> None:
    for file in copy.rglob("*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    assert load_model(source(copy), CPU).pipeline.unet.dtype == torch.float32


def test_a_listed_safety_checker_that_is_not_there_is_left_out(copy: Path) -> None:
    rewrite_index(
        copy,
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
        requires_safety_checker=True,
    )
    assert load_model(source(copy), CPU).pipeline.safety_checker is None


def test_stable_diffusion_3_loads_without_its_largest_text_encoder(tmp_path: Path) -> None:
    folder = build_tiny_sd3(tmp_path / "sd3", with_t5=False)
    model = load_model(source(folder, family="sd3"), EngineConfig(device="cpu"))
    assert model.pipeline.text_encoder_3 is None
    assert model.pipeline.text_encoder_2 is not None


def rewrite_index(path: Path, **changes: Any) -> None:
    file = path / "model_index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refusal_of(path: Path, *, kind: ModelKind = "folder", family: str = "sd") -> str:
    with pytest.raises(ModelUnavailable) as caught:
        load_model(source(path, kind=kind, family=family), CPU)
    assert str(path.parent) not in caught.value.sentence  # paths are for admins
    return caught.value.sentence


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "There is no model at nowhere" in refusal_of(tmp_path / "nowhere")


def test_a_folder_without_its_index_is_refused(copy: Path) -> None:
    (copy / "model_index.json").write_text("{broken")
    assert "no readable model_index.json" in refusal_of(copy)


def test_a_folder_without_a_component_is_refused_by_name(copy: Path) -> None:
    shutil.rmtree(copy / "vae")
    assert "lacks its component vae" in refusal_of(copy)


def test_weights_cut_short_are_refused(copy: Path) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert "unet/diffusion_pytorch_model.safetensors is damaged" in refusal_of(copy)


def test_weights_that_do_not_fit_the_configuration_are_refused(copy: Path) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["conv_in.weight"] = torch.zeros(1, 4, 3, 3)
    save_file(tensors, file)
    assert "do not fit together" in refusal_of(copy)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".ckpt"])
def test_a_component_with_pickled_weights_only_is_refused_unopened(copy: Path, suffix: str) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(suffix))
    assert "only as pickle files" in refusal_of(copy)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin"])
def test_a_pickle_file_is_refused_unopened(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"whatever")
    path.chmod(0)
    assert "is a pickle file" in refusal_of(path, kind="file")


def test_pipeline_code_that_comes_with_a_model_is_not_run(copy: Path) -> None:
    rewrite_index(copy, _class_name=["pipeline", "EvilPipeline"])
    (copy / "pipeline.py").write_text("raise SystemExit('code of the model was run')")
    assert "asks for pipeline code of its own" in refusal_of(copy)


def test_a_component_from_any_other_library_is_refused(copy: Path) -> None:
    rewrite_index(copy, scheduler=["antigravity", "Fly"])
    assert "from an unknown library" in refusal_of(copy)


def test_a_pipeline_that_needs_more_than_text_is_refused(copy: Path) -> None:
    rewrite_index(copy, _class_name="StableDiffusionUpscalePipeline")
    assert "does not make images from text alone" in refusal_of(copy, family="other")


def test_a_model_set_up_as_another_family_is_refused(tiny_sdxl_dir: Path) -> None:
    assert "set up as sd folder, but its files are sdxl folder" in refusal_of(tiny_sdxl_dir)


def test_a_hub_model_that_was_not_downloaded_is_refused_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    wanted = ModelSource("wanted", "sd", "hub", "somebody/something")
    with pytest.raises(ModelUnavailable, match="has not been downloaded"):
        load_model(wanted, CPU)


def save_header(path: Path, *names: str, channels: int = 4) -> Path:
    tensors = dict.fromkeys(names, torch.zeros(1))
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(8, channels, 3, 3)
    save_file(tensors, path)
    return path


def test_a_single_file_holds_the_same_model_as_its_folder(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.safetensors"
    write_original_file(tiny_model_dir, path)
    no_weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(tiny_model_dir, tmp_path / "tiny.config", ignore=no_weights)
    from_file = load_model(source(path, kind="file"), CPU).pipeline
    from_folder = load_model(source(tiny_model_dir), CPU).pipeline
    for component in ("text_encoder", "unet", "vae"):
        expected = getattr(from_folder, component).state_dict()
        loaded = getattr(from_file, component).state_dict()
        assert loaded.keys() == expected.keys()
        assert all(torch.equal(loaded[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("key", "channels", "sentence"),
    [
        ("lora_unet_x.lora_down.weight", 4, "is a LoRA"),
        ("cond_stage_model.model.token_embedding.weight", 8, "is an editing model"),
        ("something.else", 4, "not a checkpoint of a known family"),
        (
            "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias",
            4,
            "lacks a text encoder (CLIP ViT-L), a text encoder (OpenCLIP ViT-bigG), a VAE",
        ),
    ],
)
def test_single_files_that_are_no_whole_model_are_refused(
    tmp_path: Path, key: str, channels: int, sentence: str
) -> None:
    path = save_header(tmp_path / "model.safetensors", key, channels=channels)
    assert sentence in refusal_of(path, kind="file")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\2\0\0\0\0\0\0\0{}x", b"\3\0\0\0\0\0\0\0[1]"]
)
def test_damaged_single_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert "damaged or incomplete" in inspect_path(path).sentence


def test_looking_at_a_model_prints_one_line_of_json(tiny_model_dir: Path) -> None:
    command = [sys.executable, "-m", "worker.pipelines.inspect", "--needs", str(tiny_model_dir)]
    printed = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=300
    ).stdout
    looked_at = json.loads(printed)
    needs = looked_at.pop("needs")
    assert needs["2"]["full"] < needs["4"]["full"]  # bytes of the device, by those of a number
    expected = {
        "path": str(tiny_model_dir),
        "family": "sd",
        "kind": "pipeline",
        "form": "folder",
        "architecture": "sd1",
        "usable": True,
        "sentence": "StableDiffusionPipeline folder.",
        "native_size_px": 128,
        "only_repaints": False,
    }
    assert {name: looked_at[name] for name in expected} == expected


def test_a_device_that_is_not_there_is_an_error_that_names_the_setting() -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(EngineError, match=f"DARKROOM_DEVICE is {absent}"):
        choose_device(EngineConfig(device=absent))


@pytest.mark.parametrize(
    ("device", "family", "dtype"),
    [
        ("cpu", "sd", torch.float32),
        ("mps", "sd", torch.float32),
        ("cuda", "sd", torch.float16),
        ("cuda", "sdxl", torch.float16),
        ("cuda", "flux", torch.bfloat16),
    ],
)
def test_half_precision_is_chosen_on_cuda_only(
    device: str, family: str, dtype: torch.dtype
) -> None:
    assert choose_dtype(EngineConfig(), torch.device(device), family) == dtype


def test_the_size_by_the_headers_is_what_the_weights_take(
    tiny_model_dir: Path, tiny_sdxl_dir: Path, tiny_flux_dir: Path
) -> None:
    families = ((tiny_model_dir, "sd"), (tiny_sdxl_dir, "sdxl"), (tiny_flux_dir, "flux"))
    for path, family in families:
        pipe = load_model(source(path, family=family), CPU).pipeline
        sizes = measure(path)
        # position ids are made, not read
        assert weight_bytes(pipe) == pytest.approx(sizes.whole(4), abs=4096)
        denoiser = pipe.transformer if family == "flux" else pipe.unet
        assert sizes.denoiser(4) == sum(tensor.nbytes for tensor in denoiser.parameters())
        assert len(sizes.encoders(4)) == (1 if family == "sd" else 2)


def test_the_size_follows_the_number_format_and_leaves_other_variants_out(copy: Path) -> None:
    in_full = measure(copy).whole(4)
    assert measure(copy).whole(2) == in_full / 2
    for file in list(copy.rglob("*.safetensors")):
        shutil.copy(file, file.with_suffix(".fp16.safetensors"))
        shutil.copy(file, copy / file.name)  # a single file beside the folders
    assert measure(copy).whole(4) == in_full


def test_a_single_file_is_measured_by_its_parts(tiny_model_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    write_original_file(tiny_model_dir, path)
    of_file, of_folder = measure(path), measure(tiny_model_dir)
    assert of_file.denoiser(4) == of_folder.denoiser(4)
    assert of_file.encoders(4) == pytest.approx(of_folder.encoders(4), abs=4096)
    assert of_file.whole(4) == pytest.approx(of_folder.whole(4), abs=4096)


def test_there_is_nothing_to_plan_of_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="There is no model"):
        plan_model(source(tmp_path / "nowhere"), CPU, Room(10**9, 10**9))
