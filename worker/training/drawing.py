"""Draws with a saved model, for the sheets and the evaluation."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor
from tqdm import tqdm


def load_pipeline(folder: Path, device: str = "cpu") -> StableDiffusionPipeline:
    """The saved model in float32, quiet."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, torch_dtype=torch.float32, use_safetensors=True
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: StableDiffusionPipeline,
    texts: Sequence[str],
    *,
    steps: int,
    guidance: float,
    negative: str = "",
    first_seed: int = 0,
    batch: int = 8,
) -> Tensor:
    """A picture per text, prompt i with seed `first_seed` + i: float [B, 3, H, W] in 0..1."""
    pictures = []
    for start in tqdm(range(0, len(texts), batch), desc="draw", mininterval=10.0):
        prompts = list(texts[start : start + batch])
        pictures.append(
            pipeline(
                prompts,
                negative_prompt=[negative] * len(prompts),
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[
                    torch.Generator("cpu").manual_seed(first_seed + start + i)
                    for i in range(len(prompts))
                ],
                output_type="pt",
            ).images.float()
        )
    return torch.cat(pictures).cpu()
