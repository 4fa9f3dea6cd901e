"""The training set as latents: scenes painted and encoded once, captions drawn anew each time.

    python -m worker.training.latents --packages node_modules --work DIR --chunks 60

The denoiser never sees a pixel, so the VAE's encoder runs once per scene and not once per step.
Every chunk is a file of its own, drawn from its own seed: the command goes on where it ended, and
a training run takes what is there, again whenever it saves.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.random import Generator
from torch import Tensor
from tqdm import tqdm

from worker.training.concepts import COLOUR_BY_SLUG, STYLE_BY_SLUG
from worker.training.icons import IconLibrary
from worker.training.precision import mixed_precision
from worker.training.scenes import LAYOUT_SHARES, Layout, Scene, Stage
from worker.training.train_vae import FOLDER as VAE_FOLDER

FOLDER: Final = "latents"
CHUNK: Final = 2000
SCENES_SEED: Final = 7
MARK: Final = "|"
LAYOUTS: Final[dict[str, Layout]] = {layout: layout for layout in LAYOUT_SHARES}


@dataclass(frozen=True)
class LatentSet:
    """`latents[i]` shows `scenes[i]`: float16 of shape [N, C, h, w]. The scenes have no
    poses: captions ask for none."""

    scenes: list[Scene]
    latents: Tensor


@torch.no_grad()
def encode_scenes(
    scenes: list[Scene], vae: AutoencoderKL, stage: Stage, *, size_px: int, batch: int = 16
) -> Tensor:
    """Scaled latents of `scenes`, float16 of shape [N, C, size_px / 16, size_px / 16]."""
    encoded = []
    for start in range(0, len(scenes), batch):
        pixels = np.stack([stage.paint(s, size_px) for s in scenes[start : start + batch]])
        pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        pictures = pictures.to(vae.device, memory_format=torch.channels_last)
        with mixed_precision(vae.device):
            latents = vae.encode(pictures).latent_dist.mode()
        encoded.append((latents.float() * vae.config.scaling_factor).half().cpu())
    return torch.cat(encoded)


def write_chunk(path: Path, scenes: list[Scene], latents: Tensor) -> None:
    """Writes one chunk; whoever reads meanwhile sees all of it or nothing."""
    fresh = path.with_suffix(".new")
    torch.save({"scenes": [_line(scene) for scene in scenes], "latents": latents}, fresh)
    fresh.replace(path)


def load_chunks(folder: Path) -> LatentSet:
    """All chunks that are in `folder`. Raises `ValueError` where there is none."""
    paths = sorted(folder.glob("*.pt"))
    if not paths:
        raise ValueError(f"{folder} holds no latents: run worker.training.latents first.")
    chunks = [torch.load(path, weights_only=True) for path in paths]
    scenes = [_scene(line) for chunk in chunks for line in chunk["scenes"]]
    return LatentSet(scenes, torch.cat([chunk["latents"] for chunk in chunks]))


def draw_batch(latent_set: LatentSet, *, batch: int, rng: Generator) -> tuple[list[Scene], Tensor]:
    """`batch` scenes and their latents, float32."""
    chosen = rng.integers(len(latent_set.scenes), size=batch)
    scenes = [latent_set.scenes[int(index)] for index in chosen]
    return scenes, latent_set.latents[torch.from_numpy(chosen)].float()


def _line(scene: Scene) -> str:
    things = ",".join(scene.things)
    parts = (scene.layout, things, scene.style.slug, scene.background.slug, scene.colour)
    return MARK.join(parts)


def _scene(line: str) -> Scene:
    layout, things, style, background, colour = line.split(MARK)
    return Scene(
        layout=LAYOUTS[layout],
        things=tuple(things.split(",")),
        style=STYLE_BY_SLUG[style],
        background=COLOUR_BY_SLUG[background],
        poses=(),
        colour=colour,
    )


def build(args: argparse.Namespace) -> None:
    """Writes the chunks that are missing."""
    stage = Stage(IconLibrary(args.packages))
    vae = AutoencoderKL.from_pretrained(args.work / VAE_FOLDER, use_safetensors=True)
    vae = vae.float().to(args.device, memory_format=torch.channels_last).eval()
    folder: Path = args.work / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(args.first, args.chunks), desc="chunks", mininterval=10.0):
        path = folder / f"{number:05d}.pt"
        if not path.exists():
            rng = np.random.default_rng((SCENES_SEED, number))
            scenes = [stage.draw(rng) for _ in range(args.scenes)]
            write_chunk(path, scenes, encode_scenes(scenes, vae, stage, size_px=args.size_px))


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="the node_modules folder")
    parser.add_argument("--work", type=Path, required=True, help="where the VAE is")
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="leave the chunks before this one")
    parser.add_argument("--scenes", type=int, default=CHUNK, help="of a chunk")
    parser.add_argument("--size-px", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(argv)


if __name__ == "__main__":
    build(parse_arguments())
