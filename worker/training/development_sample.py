"""Draws the sample of the page "How a picture develops" with the starter model:
`python -m worker.training.development_sample`.

Writes picture.webp, strip.webp and sample.json (prompt, steps with their times, schedule).
"""

import json
from pathlib import Path

from PIL import Image

from worker.config import EngineConfig
from worker.engine.engine import Engine
from worker.engine.request import ImageRequest, ModelSource
from worker.finishing.strip import FinishedStrip, Strip
from worker.pipelines.runner import DiffusersRunner

PROJECT = Path(__file__).resolve().parents[2]
STARTER = PROJECT / "worker" / "starter" / "pipeline"
SAMPLE = PROJECT / "webapp" / "gallery" / "sample"
SCHEDULE = ("_class_name", "beta_schedule", "beta_start", "beta_end", "num_train_timesteps")
REQUEST = ImageRequest(
    request_id="sample",
    owner_id="",
    model=ModelSource("starter", "sd", "folder", str(STARTER)),
    prompt="a panda on a sky blue background",
    negative_prompt="",
    width_px=128,
    height_px=128,
    steps=20,
    guidance_scale=2.0,
    seed=8,
    sampler="ddim",
)


def draw_sample(folder: Path = SAMPLE, request: ImageRequest = REQUEST) -> None:
    """Writes the three files; raises EngineError where the model cannot draw."""
    config = EngineConfig(device="cpu", preview_every=2)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    strip = Strip()
    rendered = engine.submit(request, on_progress=strip.keep).result()
    engine.close()
    finished = strip.finish(rendered)
    if finished is None:
        raise RuntimeError("no preview was kept")
    size = (rendered.width_px, rendered.height_px)
    folder.mkdir(parents=True, exist_ok=True)
    Image.frombytes("RGB", size, rendered.pixels).save(folder / "picture.webp", quality=85)
    (folder / "strip.webp").write_bytes(finished.webp)
    facts = json.dumps(_facts(request, finished), indent=2)
    (folder / "sample.json").write_text(facts + "\n", encoding="utf-8")


def _facts(request: ImageRequest, strip: FinishedStrip) -> dict[str, object]:
    described = json.loads((STARTER / "scheduler" / "scheduler_config.json").read_text())
    return {
        "prompt": request.prompt,
        "model": "Darkroom Starter",
        "family": request.model.family,
        "seed": request.seed,
        "width_px": request.width_px,
        "height_px": request.height_px,
        "schedule": {name: described[name] for name in SCHEDULE},
        "steps": strip.steps,
    }


if __name__ == "__main__":
    draw_sample()
