"""What a single file's model was trained to predict, and with which schedule: what recognition
read is set, and what no file says is found out by asking the denoiser."""

from pathlib import Path
from typing import Any, Final

import torch

from worker.pipelines.configurations import configuration_of
from worker.pipelines.schedules import settings_found
from worker.recognition.folders import INDEX
from worker.recognition.found import Found

Changes = dict[str, Any]

# A distillation -> the scheduler that its authors draw with.
_FEW_STEPS: Final = {
    "turbo": "EulerAncestralDiscreteScheduler",
    "lightning": "EulerDiscreteScheduler",
    "hyper": "EulerDiscreteScheduler",
    "lcm": "LCMScheduler",
    "dmd2": "LCMScheduler",
}
# Karras et al. 2022, as Playground 2.5 was trained.
_EDM: Final[Changes] = {
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "prediction_type": "epsilon",
}
# A model of noise gives the noise back where there is nothing else: far above what one of
# velocities does, which gives the image's share of it (0.07 of Stable Diffusion's schedule).
LEAST_LIKENESS: Final = 0.5
_SIDE: Final = 16


def schedule_changes(found: Found) -> tuple[str, Changes]:
    """(class of the scheduler, "" for the configuration's own; settings that differ from it)."""
    if found.prediction_type == "edm":
        return "EDMDPMSolverMultistepScheduler", _EDM
    wanted = "" if found.prediction_type == "flow" else _FEW_STEPS.get(found.few_step, "")
    return wanted, settings_found(found)


def is_probed(path: Path, found: Found) -> bool:
    """True if neither the file nor a configuration beside it says what the model predicts."""
    return found.prediction_type == "unknown" and not (configuration_of(path) / INDEX).is_file()


def probe_prediction(pipeline: Any) -> None:
    """Sets what the model of Stable Diffusion 2 predicts, by one call of its denoiser: at the last
    time its input is noise, which a model of noise gives back."""
    unet = pipeline.unet
    noise = torch.randn(
        1, unet.config.in_channels, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0)
    )
    words = torch.zeros(1, 77, unet.config.cross_attention_dim)
    last = pipeline.scheduler.config.num_train_timesteps - 1
    with torch.inference_mode():
        said = unet(noise.to(unet.dtype), last, words.to(unet.dtype)).sample.float()
    likeness = torch.cosine_similarity(said.flatten(), noise.flatten(), dim=0).item()
    kind = "epsilon" if likeness > LEAST_LIKENESS else "v_prediction"
    pipeline.scheduler.register_to_config(prediction_type=kind)
