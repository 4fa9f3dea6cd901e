"""LoRAs draw what diffusers draws with them, and leave no trace when they are taken off."""

import itertools
import json
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.pipelines.tiny_models import build_tiny_sdxl
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from worker.config import EngineConfig
from worker.engine.errors import InvalidRequest, ModelUnavailable
from worker.engine.request import ImageRequest, LoraSource, ModelSource
from worker.pipelines import loras
from worker.pipelines.denoising import Denoising, step
from worker.pipelines.loader import LoadedModel, load_model
from worker.pipelines.runner import ADAPTERS
from worker.pipelines.tiny import build_tiny_stable_diffusion

_numbers = itertools.count()


@dataclass(frozen=True)
class Family:
    """How to build a tiny model, its pipeline class, and which of its parts take a LoRA."""

    build: Callable[[Path], Path]
    pipeline: str
    sampler: str
    parts: tuple[str, ...]

    @property
    def denoiser(self) -> str:
        return self.parts[0]


FAMILIES = {
    "sd": Family(
        build_tiny_stable_diffusion, "StableDiffusionPipeline", "ddim", ("unet", "text_encoder")
    ),
    "sdxl": Family(
        build_tiny_sdxl,
        "StableDiffusionXLPipeline",
        "ddim",
        ("unet", "text_encoder", "text_encoder_2"),
    ),
    "sd3": Family(
        build_tiny_sd3,
        "StableDiffusion3Pipeline",
        "flow_euler",
        ("transformer", "text_encoder", "text_encoder_2"),
    ),
    "flux": Family(build_tiny_flux, "FluxPipeline", "flow_euler", ("transformer", "text_encoder")),
}
DENOISER_LAYERS = ["to_q", "to_k", "to_v", "to_out.0"]
ENCODER_LAYERS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


@dataclass
class Studio:
    """Tiny models in a folder, and LoRA files made for them."""

    folder: Path
    built: dict[str, Path] = field(default_factory=dict)

    def model_dir(self, family: str) -> Path:
        if family not in self.built:
            self.built[family] = FAMILIES[family].build(self.folder / family)
        return self.built[family]

    def load(self, family: str) -> LoadedModel:
        source = ModelSource("tiny", family, "folder", str(self.model_dir(family)))
        return load_model(source, EngineConfig(device="cpu"))

    def reference(self, family: str) -> Any:
        """diffusers' own pipeline of the same model."""
        pipe = getattr(diffusers, FAMILIES[family].pipeline).from_pretrained(self.model_dir(family))
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def lora(self, family: str, slug: str, *, parts: int = 3, **options: Any) -> LoraSource:
        """A LoRA with random weights for the first `parts` parts of the model."""
        path = self.folder / f"{family}-{slug}.safetensors"
        if not path.exists():
            self._save(family, path, FAMILIES[family].parts[:parts], options)
        return LoraSource(slug, str(path))

    def _save(self, family: str, path: Path, parts: tuple[str, ...], options: Any) -> None:
        pipe = self.reference(family)
        torch.manual_seed(len(path.name) + sum(path.name.encode()))
        layers = {}
        for part in parts:
            is_denoiser = part == FAMILIES[family].denoiser
            config = LoraConfig(
                target_modules=DENOISER_LAYERS if is_denoiser else ENCODER_LAYERS,
                init_lora_weights=False,
                **({"r": 4, "lora_alpha": 4} | options),
            )
            getattr(pipe, part).add_adapter(config)
            layers[f"{part}_lora_layers"] = get_peft_model_state_dict(getattr(pipe, part))
        type(pipe).save_lora_weights(path.parent, weight_name=path.name, **layers)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("loras"))


def ask(model: LoadedModel, worn: tuple[LoraSource, ...] = ()) -> ImageRequest:
    return ImageRequest(
        request_id=f"request-{next(_numbers)}",
        owner_id="alice",
        model=model.source,
        prompt="a cat and the 고양이",
        negative_prompt="",
        width_px=64,
        height_px=64,
        steps=2,
        guidance_scale=4.0,
        seed=7,
        sampler=FAMILIES[model.source.family].sampler,
        loras=worn,
    )


def begin(model: LoadedModel, worn: tuple[LoraSource, ...] = ()) -> Denoising:
    loras.apply(model, worn)
    return ADAPTERS[model.source.family].begin(model, ask(model, worn))


def draw(model: LoadedModel, *worn: LoraSource) -> Tensor:
    """The finished latents, with `worn` on."""
    denoising = begin(model, worn)
    while denoising.done < denoising.calls:
        assert step([denoising]) == [None]
    return denoising.latents


def drawn_by_diffusers(pipe: Any, model: LoadedModel) -> Tensor:
    request = ask(model)
    latents: Tensor = pipe(
        request.prompt,
        width=request.width_px,
        height=request.height_px,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        output_type="latent",
    ).images
    return latents


def wear(pipe: Any, *worn: LoraSource) -> None:
    """As diffusers' manual says."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        for lora in worn:
            pipe.load_lora_weights(lora.location, adapter_name=lora.slug)
    pipe.set_adapters([lora.slug for lora in worn], [lora.scale for lora in worn])


def scaled(lora: LoraSource, scale: float) -> LoraSource:
    return LoraSource(lora.slug, lora.location, scale)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_loras_draw_what_diffusers_draws_with_them(studio: Studio, family: str) -> None:
    ink = scaled(studio.lora(family, "ink"), 0.7)
    fog = scaled(studio.lora(family, "fog", parts=1, r=2), -0.25)
    model, pipe = studio.load(family), studio.reference(family)
    pipe.scheduler = model.pipeline.scheduler
    wear(pipe, ink, fog)
    pipe.scheduler = begin(model).scheduler
    assert torch.equal(draw(model, ink, fog), drawn_by_diffusers(pipe, model))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lora_taken_off_leaves_no_trace(studio: Studio, family: str) -> None:
    ink, fog = studio.lora(family, "ink"), studio.lora(family, "fog", parts=1, r=2)
    model = studio.load(family)
    bare = draw(model)
    inked = draw(model, ink)
    assert not torch.equal(inked, bare)
    assert torch.equal(draw(model), bare)
    assert not torch.equal(draw(model, fog), inked)
    assert torch.equal(draw(model, ink), inked)
    assert torch.equal(draw(model), bare)


def test_the_scale_says_how_strongly_a_lora_counts(studio: Studio) -> None:
    ink = studio.lora("sd", "ink")
    model = studio.load("sd")
    bare, full = draw(model), draw(model, ink)
    half = draw(model, scaled(ink, 0.5))
    assert not torch.equal(half, full)
    assert not torch.equal(half, bare)
    assert torch.equal(draw(model, scaled(ink, 0.0)), bare)


def test_a_set_that_is_on_already_costs_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    ink = studio.lora("sd", "ink")
    model = studio.load("sd")
    loras.apply(model, (ink,))
    monkeypatch.setattr(model, "pipeline", None)
    loras.apply(model, (ink,))


def test_a_lora_that_was_on_is_not_read_again(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    path.write_bytes(Path(studio.lora("sd", "ink").location).read_bytes())
    ink = LoraSource("ink", str(path))
    model = studio.load("sd")
    inked = draw(model, ink)
    draw(model)
    path.unlink()
    assert torch.equal(draw(model, ink), inked)


def test_only_so_many_stay_loaded(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loras, "MOST_LOADED", 2)
    a, b, c = (studio.lora("sd", slug) for slug in ("ink", "oil", "wax"))
    model = studio.load("sd")
    for worn in ((a,), (b,), (a,), (c,)):
        loras.apply(model, worn)
    assert list(model.loras.loaded) == [a.location, c.location]
    assert all(len(names) == 2 for names in model.pipeline.get_list_adapters().values())
    loras.apply(model, (a, b, c))
    assert list(model.loras.loaded) == [a.location, b.location, c.location]
    loras.apply(model, ())
    assert list(model.loras.loaded) == [b.location, c.location]


def test_a_kohya_lora_draws_what_the_same_one_of_diffusers_draws(
    studio: Studio, tmp_path: Path
) -> None:
    ink = studio.lora("sd", "ink")
    path = tmp_path / "kohya.safetensors"
    save_file(as_kohya(load_file(ink.location)), path)
    model = studio.load("sd")
    assert torch.equal(draw(model, ink), draw(model, LoraSource("kohya", str(path))))


def as_kohya(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """`lora_unet_down_blocks_0_..._to_q.lora_down.weight`, with an alpha for every layer."""
    renamed = {}
    for key, tensor in tensors.items():
        layer, _, side = key.removesuffix(".weight").rpartition(".")
        layer = layer.replace("text_encoder.encoder", "te.text_model.encoder")
        prefix = "lora_" + layer.replace(".", "_")
        renamed[f"{prefix}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"] = tensor
        renamed[f"{prefix}.alpha"] = torch.tensor(4.0)
    return renamed


def test_pictures_with_different_loras_share_no_call(studio: Studio) -> None:
    ink = studio.lora("sd", "ink")
    model = studio.load("sd")
    keys = [begin(model, worn).key for worn in ((), (ink,), (scaled(ink, 0.5),), (ink,))]
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_a_picture_goes_on_after_another_with_other_loras(studio: Studio) -> None:
    ink = studio.lora("sd", "ink")
    model = studio.load("sd")
    alone = draw(model, ink)
    denoising = begin(model, (ink,))
    step([denoising])
    draw(model)
    loras.apply(model, (ink,))
    step([denoising])
    assert torch.equal(denoising.latents, alone)


# Refusals


def header_only(path: Path, *names: str) -> Path:
    """A safetensors file of one float each under `names`."""
    header: dict[str, Any] = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * index, 4 * index + 4]}
        for index, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4 * len(names)))
    return path


def broken_files(studio: Studio, folder: Path) -> dict[str, Path]:
    good = Path(studio.lora("sd", "ink").location)
    tensors = load_file(good)
    some = next(key for key in tensors if key.startswith("unet") and "lora_A" in key)
    files = {
        name: folder / f"{name}.safetensors" for name in ("cut", "surplus", "rank", "late", "wide")
    }
    files["cut"].write_bytes(good.read_bytes()[:-10])
    save_file(tensors | {"unet.nowhere.lora_A.weight": torch.zeros(4, 4)}, files["surplus"])
    save_file(tensors | {some: torch.zeros(9, tensors[some].shape[1])}, files["rank"])
    # Found out when the U-Net has its part already.
    late = next(key for key in tensors if key.startswith("text") and "lora_A" in key)
    save_file(tensors | {late: torch.zeros(9, tensors[late].shape[1])}, files["late"])
    save_file(tensors | {some: torch.zeros(4, 999)}, files["wide"])
    return files | {
        "missing": folder / "missing.safetensors",
        "pickle": header_only(folder / "pickle.bin", "lora_unet_x"),
        "model": header_only(folder / "model.safetensors", "unet.conv_in.weight"),
        "dora": header_only(folder / "dora.safetensors", "lora_unet_x.dora_scale"),
    }


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing", "The LoRA bad is not on this worker."),
        ("pickle", "The LoRA bad is not a safetensors file."),
        ("cut", "The file of the LoRA bad is damaged."),
        ("model", "The file of bad is not a LoRA."),
        ("dora", "The LoRA bad is a DoRA, which is not supported."),
        ("surplus", "The LoRA bad does not fit this model."),
        ("rank", "The LoRA bad does not fit this model."),
        ("late", "The LoRA bad does not fit this model."),
        ("wide", "The LoRA bad does not fit this model."),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(
    studio: Studio, tmp_path: Path, name: str, sentence: str
) -> None:
    bad = LoraSource("bad", str(broken_files(studio, tmp_path)[name]))
    ink, oil = studio.lora("sd", "ink"), studio.lora("sd", "oil")
    model = studio.load("sd")
    inked = draw(model, ink)
    with pytest.raises(ModelUnavailable) as refusal:
        loras.apply(model, (oil, bad))
    assert refusal.value.sentence == sentence
    assert model.loras.worn == (ink,)
    assert list(model.loras.loaded) == [ink.location, oil.location]
    assert all(len(names) == 2 for names in model.pipeline.get_list_adapters().values())
    assert torch.equal(draw(model, ink), inked)


def test_a_bad_first_lora_leaves_the_model_as_it_was(studio: Studio, tmp_path: Path) -> None:
    model = studio.load("sd")
    bare = draw(model)
    with pytest.raises(ModelUnavailable):
        loras.apply(model, (LoraSource("bad", str(broken_files(studio, tmp_path)["rank"])),))
    assert torch.equal(draw(model), bare)


@pytest.mark.parametrize(("family", "other"), [("sd", "sdxl"), ("sdxl", "sd"), ("flux", "sd3")])
def test_a_lora_of_another_family_is_refused(studio: Studio, family: str, other: str) -> None:
    lora = studio.lora(other, "ink")
    with pytest.raises(ModelUnavailable, match="The LoRA ink does not fit this model"):
        loras.apply(studio.load(family), (lora,))


def test_a_lora_named_twice_or_without_a_number_is_refused(studio: Studio) -> None:
    ink = studio.lora("sd", "ink")
    model = studio.load("sd")
    with pytest.raises(InvalidRequest, match="named twice"):
        loras.apply(model, (ink, scaled(ink, 0.5)))
    with pytest.raises(InvalidRequest, match="not a number"):
        loras.apply(model, (scaled(ink, float("nan")),))
