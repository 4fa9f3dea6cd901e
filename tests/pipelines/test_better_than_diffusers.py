"""Where SD3 and Flux are drawn rightly, and diffusers' pipelines slip."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.pipelines.flow_studio import Studio
from tests.pipelines.test_transformers import diffusers_draws, folders, studio
from worker.engine.request import ModelSource

__all__ = ["folders", "studio"]


def test_an_image_inpainted_by_sd3_has_the_start_images_pixels_where_they_are_kept(
    studio: Studio,
) -> None:
    request = studio.ask("sd3", mode="inpaint")
    assert request.start is not None
    assert request.mask is not None
    kept = [value == 0 for value in request.mask.pixels for _channel in range(3)]
    pixels, _ = studio.draw(request)
    pairs = zip(pixels, request.start.pixels, kept, strict=True)
    assert all(drawn == given for drawn, given, is_kept in pairs if is_kept)


@pytest.mark.parametrize("sampler", ["flow_dpmpp_2m", "flow_unipc"])
@pytest.mark.parametrize("name", ["sd3", "flux-schnell"])
def test_a_schedule_that_holds_its_first_time_twice_is_gone_through_whole(
    studio: Studio, tmp_path: Path, name: str, sampler: str
) -> None:
    """As FLUX's is at 2048x2048 pixels: it leans towards noise, and times are whole numbers."""
    family = name.partition("-")[0]
    folder = Path(shutil.copytree(studio.folders[name], tmp_path / "leaning"))
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"shift": 100.0}))
    model = ModelSource(f"leaning-{name}", family, "folder", str(folder))
    request = studio.ask(name, model=model, sampler=sampler, steps=30)
    denoising = studio.begin(request)
    first, second, *_ = denoising.timesteps.tolist()
    assert first == second
    _, latents = studio.draw(request)
    assert latents.isfinite().all()
    if family == "flux":  # diffusers' pipeline of the other begins with the second, and fails
        assert torch.equal(latents, diffusers_draws(request)[1])
