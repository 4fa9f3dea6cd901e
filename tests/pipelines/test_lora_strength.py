"""How strongly a LoRA counts, and of which kind it is, its file tells, or that is said."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from tests.pipelines.test_loras import (
    DENOISER_LAYERS,
    Studio,
    as_kohya,
    ask,
    draw,
    header_only,
    scaled,
    studio,
)
from worker.engine.errors import ModelUnavailable
from worker.engine.request import LoraSource
from worker.pipelines import loras
from worker.pipelines.runner import fingerprint

__all__ = ["studio"]

KINDS: dict[str, tuple[str, ...]] = {
    "dora": (
        "a DoRA",
        "lora_unet_x.dora_scale",
    ),
    "loha": ("a LoHa", "lora_unet_x.hada_w1_a", "lora_unet_x.hada_w1_b"),
    "lokr": ("a LoKr", "lora_unet_x.lokr_w1", "lora_unet_x.lokr_w2"),
    "glora": ("a GLoRA", "lora_unet_x.a1.weight", "lora_unet_x.b1.weight"),
    "oft": (
        "an OFT",
        "lora_unet_x.oft_blocks",
    ),
    "full": (
        "a set of whole weight differences",
        "lora_unet_x.diff",
    ),
    "norm": (
        "a set of norms",
        "lora_unet_x.w_norm",
    ),
    "tucker": (
        "a LoRA with Tucker factors",
        "lora_unet_x.lora_down.weight",
        "lora_unet_x.lora_mid.weight",
    ),
    "beside": ("a LoRA with norms", "lora_unet_x.lora_down.weight", "lora_unet_y.b_norm"),
}


def saved(studio: Studio, path: Path, *, metadata: dict[str, str] | None = None) -> LoraSource:
    """A LoRA of rank 4, as PEFT writes it: without its alpha."""
    save_file(load_file(studio.lora("sd", "one", parts=1).location), path, metadata=metadata)
    return LoraSource(path.stem, str(path))


def test_the_alpha_in_a_files_header_is_taken(studio: Studio, tmp_path: Path) -> None:
    said = LoraConfig(r=4, lora_alpha=8, target_modules=DENOISER_LAYERS)
    config = said.to_dict()  # type: ignore[no-untyped-call]
    configs = {
        f"unet.{name}": sorted(value) if isinstance(value, set) else value
        for name, value in config.items()
    }
    told = saved(
        studio,
        tmp_path / "told.safetensors",
        metadata={"lora_adapter_metadata": json.dumps(configs)},
    )
    model = studio.load("sd")
    drawn = draw(model, told)
    untold = saved(studio, tmp_path / "untold.safetensors")
    torch.testing.assert_close(drawn, draw(model, scaled(untold, 2.0)))
    assert not torch.equal(drawn, draw(model, untold))


@pytest.mark.parametrize(("is_told", "said"), [(False, "plain"), (True, "")])
def test_an_image_says_which_loras_do_not_tell_their_strength(
    studio: Studio, tmp_path: Path, is_told: bool, said: str
) -> None:
    plain = saved(studio, tmp_path / "plain.safetensors")
    if is_told:
        path = Path(plain.location)
        save_file(as_kohya(load_file(path)), path)
    model = studio.load("sd")
    draw(model, plain)
    assert fingerprint(model, ask(model))["lora_strength_untold"] == said


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_would_be_drawn_wrongly_is_refused_by_its_name(
    studio: Studio, tmp_path: Path, kind: str
) -> None:
    words, *names = KINDS[kind]
    bad = LoraSource("bad", str(header_only(tmp_path / "bad.safetensors", *names)))
    with pytest.raises(ModelUnavailable) as refusal:
        loras.apply(studio.load("sd"), (bad,))
    assert refusal.value.sentence == f"The LoRA bad is {words}, which is not supported."
