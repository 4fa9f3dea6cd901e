"""The training set as latents: every scene painted and encoded once, captions drawn anew each time.

The denoiser never sees a pixel, so the VAE's encoder runs once per scene and not once per step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.random import Generator
from torch import Tensor
from tqdm import tqdm

from worker.training.icons import IconLibrary
from worker.training.precision import mixed_precision
from worker.training.scenes import Scene, draw_scene, every_single, paint

SINGLE_SHARE: Final = 0.75
SCENES_SEED: Final = 7
# How often each style is drawn: the usual one most.
STYLE_SHARES: Final = {"3d": 0.5, "flat": 0.2, "cartoon": 0.3}


@dataclass(frozen=True)
class LatentSet:
    """`latents[i]` shows `scenes[i]`: float16 of shape [N, 4, h, w], scaled to a variance of 1."""

    scenes: list[Scene]
    latents: Tensor


def composed_scenes(count: int, concepts: Sequence[str], *, seed: int = SCENES_SEED) -> list[Scene]:
    """`count` scenes that are more than one thing in the middle; the same ones for a seed."""
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = draw_scene(rng, concepts)
        if scene.layout != "single":
            scenes.append(scene)
    return scenes


@torch.no_grad()
def encode_scenes(
    scenes: list[Scene], vae: AutoencoderKL, icons: IconLibrary, *, size_px: int, batch: int = 32
) -> Tensor:
    """Scaled latents of `scenes`, float16 of shape [N, 4, size_px / 8, size_px / 8]."""
    encoded = []
    for start in tqdm(range(0, len(scenes), batch), desc="encode", mininterval=5.0):
        pixels = np.stack([paint(s, icons, size_px) for s in scenes[start : start + batch]])
        pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        pictures = pictures.to(vae.device, memory_format=torch.channels_last)
        with mixed_precision(vae.device):
            latents = vae.encode(pictures).latent_dist.mode()
        encoded.append((latents.float() * vae.config.scaling_factor).half().cpu())
    return torch.cat(encoded)


def load_or_encode(
    name: str,
    scenes: list[Scene],
    *,
    work: Path,
    vae: AutoencoderKL,
    icons: IconLibrary,
    size_px: int,
) -> LatentSet:
    """The cached latents of `scenes` in `<work>/<name>.pt`, made first where they are missing.

    Raises `ValueError` when the cache holds another number of scenes: the recipe changed since.
    """
    path = work / f"{name}.pt"
    if not path.exists():
        torch.save(encode_scenes(scenes, vae, icons, size_px=size_px), path)
    latents: Tensor = torch.load(path, weights_only=True)
    if len(latents) != len(scenes):
        raise ValueError(f"{path} holds {len(latents)} scenes, not {len(scenes)}: delete it.")
    return LatentSet(scenes, latents)


def load_training_set(
    concepts: Sequence[str],
    *,
    work: Path,
    vae: AutoencoderKL,
    icons: IconLibrary,
    size_px: int,
    composed: int,
) -> tuple[LatentSet, LatentSet]:
    """(single things, composed scenes) as latents, from the cache in `work` where it has them."""
    single = load_or_encode(
        "singles", every_single(concepts), work=work, vae=vae, icons=icons, size_px=size_px
    )
    scenes = composed_scenes(composed, concepts)
    several = load_or_encode(
        f"composed-{composed}", scenes, work=work, vae=vae, icons=icons, size_px=size_px
    )
    return single, several


def draw_batch(
    sets: tuple[LatentSet, LatentSet], *, batch: int, rng: Generator
) -> tuple[list[Scene], Tensor]:
    """`batch` scenes and their latents, float32; three in four show a single thing."""
    scenes, latents = [], []
    for is_single in rng.random(batch) < SINGLE_SHARE:
        source = sets[0] if is_single or not sets[1].scenes else sets[1]
        index = _draw_index(source.scenes, rng)
        scenes.append(source.scenes[index])
        latents.append(source.latents[index])
    return scenes, torch.stack(latents).float()


def _draw_index(scenes: list[Scene], rng: Generator) -> int:
    """A scene by chance, styles in their shares: others are drawn again."""
    usual = max(STYLE_SHARES.values())
    while True:
        index = int(rng.integers(len(scenes)))
        if rng.random() < STYLE_SHARES[scenes[index].style.slug] / usual:
            return index
