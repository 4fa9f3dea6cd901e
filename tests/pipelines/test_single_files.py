"""A single file loads as it is, offline, and holds the same model as its folder, bit for bit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.pipelines.drawing import ask, draw
from tests.pipelines.original_layout import Tensors, load_part, original_vae, write_original_file
from tests.pipelines.original_transformers import (
    DENOISER,
    bare,
    flux_tensors,
    sd3_tensors,
    sdxl_tensors,
    with_prefix,
)
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from tests.recognition import names
from tests.recognition.headers import write_header
from worker.config import EngineConfig
from worker.engine.errors import ModelUnavailable
from worker.engine.request import ModelSource
from worker.pipelines import configurations
from worker.pipelines.configurations import SHIPPED
from worker.pipelines.inspect import inspect_path
from worker.pipelines.loader import LoadedModel, load_model
from worker.pipelines.prediction import is_probed, probe_prediction
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.sizes import measure
from worker.recognition.recognise import recognise

CPU = EngineConfig(device="cpu")
PARTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")


def load(path: Path, family: str) -> LoadedModel:
    kind = "file" if path.is_file() else "folder"
    return load_model(ModelSource("tiny", family, kind, str(path)), CPU)  # type: ignore[arg-type]


def configure(path: Path, folder: Path) -> Path:
    """Lays the folder's configurations beside the file: the shipped ones are of full size."""
    no_weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(folder, path.with_suffix(".config"), ignore=no_weights)
    return path


def check_same(path: Path, folder: Path, family: str) -> None:
    """The same components with the same weights in the same format, and the same scheduler."""
    here, there = load(path, family).pipeline, load(folder, family).pipeline
    assert dict(here.scheduler.config) == dict(there.scheduler.config)
    for name in PARTS:
        one, other = getattr(here, name, None), getattr(there, name, None)
        assert (one is None) == (other is None), name
        if one is None or other is None:
            continue
        ours, theirs = one.state_dict(), other.state_dict()
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert ours[key].dtype == theirs[key].dtype
            assert torch.equal(ours[key], theirs[key]), (name, key)


def write_sd1(folder: Path, file: Path) -> None:
    write_original_file(folder, file)


def test_stable_diffusion_1_in_any_of_its_forms(tiny_model_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    write_sd1(tiny_model_dir, path)
    configure(path, tiny_model_dir)
    tensors = load_file(path)
    check_same(path, tiny_model_dir, "sd")
    old = {
        name.replace("transformer.text_model.", "transformer."): t for name, t in tensors.items()
    }
    save_file(old, path)
    check_same(path, tiny_model_dir, "sd")
    averaged = {
        f"model_ema.{name.removeprefix('model.').replace('.', '')}": torch.zeros_like(tensor)
        for name, tensor in tensors.items()
        if name.startswith(DENOISER)
    }
    save_file(tensors | averaged, path)
    check_same(path, tiny_model_dir, "sd")
    assert measure(path).parts.keys() == {"transformer", "text_encoder", "vae"}


def test_sdxl(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_file(sdxl_tensors(tiny_sdxl_dir), path)
    check_same(configure(path, tiny_sdxl_dir), tiny_sdxl_dir, "sdxl")


@pytest.fixture
def sd3(tmp_path: Path) -> Path:
    return build_tiny_sd3(tmp_path / "sd3")


def sd3_encoders(folder: Path) -> Tensors:
    found: Tensors = {}
    for part, kind in (("text_encoder", "clip_l"), ("text_encoder_2", "clip_g")):
        text = load_part(folder, part)
        prefix = f"text_encoders.{kind}.transformer."
        found |= {
            f"{prefix}{'' if name == 'text_projection.weight' else 'text_model.'}{bare(name)}": t
            for name, t in text.items()
        }
    return found | with_prefix(
        load_part(folder, "text_encoder_3"), "text_encoders.t5xxl.transformer."
    )


def test_stable_diffusion_3_with_its_text_encoders(sd3: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    tensors = with_prefix(sd3_tensors(sd3), DENOISER) | original_vae(sd3) | sd3_encoders(sd3)
    save_file(tensors, path)
    check_same(configure(path, sd3), sd3, "sd3")


def test_stable_diffusion_3_needs_no_t5(tmp_path: Path) -> None:
    folder = build_tiny_sd3(tmp_path / "sd3", with_t5=False)
    path = tmp_path / "tiny.safetensors"
    with_t5 = build_tiny_sd3(tmp_path / "with", with_t5=True)
    encoders = {name: t for name, t in sd3_encoders(with_t5).items() if "t5xxl" not in name}
    tensors = with_prefix(sd3_tensors(with_t5), DENOISER) | original_vae(with_t5) | encoders
    save_file(tensors, path)
    configure(path, folder)
    assert load(path, "sd3").pipeline.text_encoder_3 is None


@pytest.fixture
def flux(tmp_path: Path) -> Path:
    return build_tiny_flux(tmp_path / "flux")


def published(folder: Path) -> Tensors:
    return flux_tensors(folder)


def with_comfys_prefix(folder: Path) -> Tensors:
    return with_prefix(flux_tensors(folder), DENOISER)


def of_diffusers(folder: Path) -> Tensors:
    return load_part(folder, "transformer")


def lay_parts(folder: Path, root: Path) -> None:
    """The VAE as a file of its authors, the encoders as files of other programs."""
    for name in ("vae", "text_encoders"):
        (root / name).mkdir()
    vae = {name: tensor.contiguous() for name, tensor in original_vae(folder, "").items()}
    save_file(vae, root / "vae" / "ae.safetensors")
    clip = with_prefix(
        {bare(n): t for n, t in load_part(folder, "text_encoder").items()}, "text_model."
    )
    save_file(clip, root / "text_encoders" / "clip_l.safetensors")
    save_file(load_part(folder, "text_encoder_2"), root / "text_encoders" / "t5xxl.safetensors")


@pytest.fixture
def any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny encoders are taken for the large ones, which are told by their widths."""
    from worker.recognition import signs

    tiny = [
        sign
        if (sign.kind, sign.architecture) != ("text encoder", "clip-l")
        else signs.Sign(
            architecture=sign.architecture, keys=sign.keys, kind=sign.kind, prefixes=sign.prefixes
        )
        for sign in signs.SIGNS
    ]
    monkeypatch.setattr(signs.match, "__defaults__", (tiny,))


@pytest.mark.usefixtures("any_width")
@pytest.mark.parametrize("layout", [published, with_comfys_prefix, of_diffusers])
def test_a_flux_transformer_takes_its_parts_from_what_lies_nearby(
    layout: Callable[[Path], Tensors], flux: Path, tmp_path: Path
) -> None:
    path = tmp_path / "models" / "diffusion_models" / "tiny.safetensors"
    path.parent.mkdir(parents=True)
    save_file(layout(flux), path)
    configure(path, flux)
    said = inspect_path(path).sentence
    assert "lacks a text encoder (CLIP ViT-L), a text encoder (T5), a VAE." in said
    assert "clip_l.safetensors, t5xxl_fp16.safetensors, ae.safetensors" in said
    lay_parts(flux, tmp_path / "models")
    assert inspect_path(path).usable
    check_same(path, flux, "flux")
    assert measure(path).parts.keys() == {"transformer", "vae", "text_encoder", "text_encoder_2"}


@pytest.mark.usefixtures("any_width")
def test_a_flux_transformer_in_fp8_is_widened(flux: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    narrow = {name: t.to(torch.float8_e4m3fn) for name, t in flux_tensors(flux).items()}
    save_file(narrow, path)
    configure(path, flux)
    lay_parts(flux, tmp_path)
    loaded = load(path, "flux").pipeline.transformer.state_dict()
    kept = load(flux, "flux").pipeline.transformer.state_dict()
    for name, tensor in kept.items():
        assert torch.equal(loaded[name], tensor.to(torch.float8_e4m3fn).float()), name


# With the configurations that ship: these are of full size, so that small ones stand in for them


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """`shipped("sd1", folder)`: from now on the folder's sizes are those of `sd1`; scheduler and
    tokenizers stay the shipped ones."""
    root = tmp_path / "shipped"

    def stand_in(name: str, folder: Path) -> None:
        no_weights = shutil.ignore_patterns("*.safetensors", "tokenizer*", "scheduler")
        shutil.copytree(folder, root / name, ignore=no_weights)
        shutil.copytree(SHIPPED / name / "scheduler", root / name / "scheduler")
        index = json.loads((folder / "model_index.json").read_text())
        shipped_index = json.loads((SHIPPED / name / "model_index.json").read_text())
        index["scheduler"] = shipped_index["scheduler"]
        (root / name / "model_index.json").write_text(json.dumps(index))

    monkeypatch.setattr(configurations, "SHIPPED", root)
    return stand_in


def test_a_file_alone_is_read_with_what_ships(
    shipped: Callable[[str, Path], None], tiny_model_dir: Path, tmp_path: Path
) -> None:
    shipped("sd1", tiny_model_dir)
    path = tmp_path / "tiny.safetensors"
    write_sd1(tiny_model_dir, path)
    loaded = load(path, "sd").pipeline
    assert len(loaded.tokenizer) == 49408
    assert loaded.scheduler.config.beta_start == 0.00085
    assert loaded.scheduler.config.prediction_type == "epsilon"
    whole = load(tiny_model_dir, "sd").pipeline.unet.state_dict()
    assert all(torch.equal(loaded.unet.state_dict()[name], whole[name]) for name in whole)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of diffusers' schedulers
@pytest.mark.parametrize(
    ("name", "keys", "class_name", "wanted"),
    [
        ("plain", (), "EulerDiscreteScheduler", {"prediction_type": "epsilon"}),
        (
            "plain",
            ("v_pred", "ztsnr"),
            "EulerDiscreteScheduler",
            {
                "prediction_type": "v_prediction",
                "rescale_betas_zero_snr": True,
                "timestep_spacing": "trailing",
            },
        ),
        ("sdxl_lightning_4step", (), "EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("xl_turbo", (), "EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("dream-lcm", (), "LCMScheduler", {"prediction_type": "epsilon"}),
        ("dream-dmd2", (), "LCMScheduler", {}),
        ("playground", ("edm_mean", "edm_std"), "EDMDPMSolverMultistepScheduler", {}),
    ],
)
def test_an_sdxl_file_is_drawn_by_the_schedule_that_it_was_trained_with(
    name: str,
    keys: tuple[str, ...],
    class_name: str,
    wanted: dict[str, Any],
    shipped: Callable[[str, Path], None],
    tiny_sdxl_dir: Path,
    tmp_path: Path,
) -> None:
    shipped("sdxl", tiny_sdxl_dir)
    path = tmp_path / f"{name}.safetensors"
    more = {key: torch.full((1, 4, 1, 1), 2.0) for key in keys}
    save_file(sdxl_tensors(tiny_sdxl_dir) | more, path)
    loaded = load(path, "sdxl").pipeline
    assert type(loaded.scheduler).__name__ == class_name
    assert {each: loaded.scheduler.config[each] for each in wanted} == wanted
    if "edm_mean" in keys:
        assert loaded.vae.config.latents_mean == [2.0] * 4
        assert loaded.vae.config.scaling_factor == 0.5


@pytest.mark.parametrize(("said", "kind"), [(1.0, "epsilon"), (0.07, "v_prediction")])
def test_what_no_file_says_is_asked_of_the_model(
    said: float, kind: str, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load(tiny_model_dir, "sd").pipeline
    other = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))

    def answer(latents: torch.Tensor, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(sample=said * latents + (1 - said) * other)

    monkeypatch.setattr(pipeline.unet, "forward", answer)
    probe_prediction(pipeline)
    assert pipeline.scheduler.config.prediction_type == kind


def test_only_a_file_of_stable_diffusion_2_that_says_nothing_is_asked(tmp_path: Path) -> None:
    for file, is_asked in (("mystery", True), ("v2-1_768-ema", False)):
        path = write_header(tmp_path / f"{file}.safetensors", names.SD2)
        assert is_probed(path, recognise(path)) == is_asked


def write_gguf(path: Path, tensors: Tensors, kind: gguf.GGMLQuantizationType) -> None:
    """As converters of FLUX.1 do: vectors stay in 32 bits."""
    writer = gguf.GGUFWriter(str(path), "flux")
    for name, tensor in tensors.items():
        values = tensor.float().numpy()
        if tensor.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.usefixtures("any_width")
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_a_flux_transformer_in_gguf_draws_what_its_widened_weights_draw(
    kind: str, flux: Path, tmp_path: Path
) -> None:
    stored = gguf.GGMLQuantizationType[kind]
    tensors = flux_tensors(flux)
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tensors, stored)
    configure(path, flux)
    lay_parts(flux, tmp_path)
    found = inspect_path(path)
    assert (found.usable, found.found.dtype) == (True, kind)
    widened = {
        name: tensor
        if tensor.ndim == 1
        else torch.from_numpy(gguf.dequantize(gguf.quantize(tensor.numpy(), stored), stored))
        for name, tensor in tensors.items()
    }
    plain = tmp_path / "plain.safetensors"
    save_file(widened, plain)
    configure(plain, flux)
    drawn, wanted = (np.frombuffer(draw_flux(each), np.uint8).astype(int) for each in (path, plain))
    assert np.abs(drawn - wanted).max() <= 1  # of 255: widened at each call, in another order
    assert np.ptp(wanted) > 50


def draw_flux(path: Path) -> bytes:
    request = ask(
        path,
        family="flux",
        model=ModelSource("tiny", "flux", "file", str(path)),
        sampler="flow_euler",
        negative_prompt="",
        steps=2,
    )
    _latents, image = draw(DiffusersRunner(CPU), request)
    return image.pixels


def test_an_encoder_that_lacks_a_tensor_is_refused(sd3: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    encoders = sd3_encoders(sd3)
    del encoders["text_encoders.clip_g.transformer.text_projection.weight"]
    save_file(with_prefix(sd3_tensors(sd3), DENOISER) | original_vae(sd3) | encoders, path)
    with pytest.raises(ModelUnavailable, match="do not fit together"):
        load(configure(path, sd3), "sd3")


def test_of_the_first_encoder_of_stable_diffusion_3_a_projection_may_be_left_out(
    sd3: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.safetensors"
    encoders = sd3_encoders(sd3)
    del encoders["text_encoders.clip_l.transformer.text_projection.weight"]
    save_file(with_prefix(sd3_tensors(sd3), DENOISER) | original_vae(sd3) | encoders, path)
    first = load(configure(path, sd3), "sd3").pipeline.text_encoder
    assert torch.equal(first.text_projection.weight, torch.eye(32))
