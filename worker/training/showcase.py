"""Draws the sample sheet of the starter model: everyday prompts, two seeds each, nothing picked.

    python -m worker.training.showcase --model FOLDER --out sheet.webp

With `--before FOLDER` a second sheet, beside the first as `*-beside.webp`, shows each prompt by the
other weights too: theirs above, these below.
"""

import argparse
from pathlib import Path
from typing import Final

import torch
from diffusers import StableDiffusionPipeline

from worker.training.drawing import generate, load_pipeline
from worker.training.sheets import save_sheet

COLUMNS: Final = 8
SEEDS: Final = 2
PROMPTS: Final = (
    "a cat on a yellow background",
    "a red apple on a blue background, 3d style",
    "a hamburger",
    "a rocket on a black background",
    "a dog on a pink background, cartoon style",
    "a sunflower on a sky blue background",
    "a smiling face on a purple background",
    "a castle on an orange background",
    "a panda on a green background",
    "a blue car on a grey background, flat style",
    "a strawberry on a white background",
    "a fox on a green background, sticker style",
    "a penguin on a sky blue background",
    "a house on a yellow background, cartoon style",
    "a doughnut on a pink background",
    "a robot on a black background, comic style",
    "an owl on a purple background, flat style",
    "an astronaut on a navy background",
    "a purple butterfly on a white background, cartoon style",
    "a train on an orange background, pixel art",
    "a lion on a blue background, cartoon style",
    "an octopus",
    "a birthday cake, sticker style",
    "a ghost on an orange background, comic style",
    "a unicorn",
    "a green dinosaur on an orange background, comic style",
    "three balloons on a sky blue background",
    "a red heart and a star on a black background",
    "a mouse and cheese on a white background, cartoon style",
    "파란 배경의 사과",
    "분홍색 배경의 강아지 한 마리",
    "초록색 배경의 노란 자동차, 스티커 스타일",
)


def draw_twice(pipeline: StableDiffusionPipeline) -> torch.Tensor:
    """Every prompt by two seeds, side by side: float [64, 3, H, W] in 0..1."""
    rounds = [
        generate(pipeline, PROMPTS, steps=20, guidance=2.0, first_seed=number * len(PROMPTS))
        for number in range(SEEDS)
    ]
    return torch.stack(rounds, dim=1).flatten(0, 1)


def beside(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Rows of `before` and of `after` in turns, `before` enlarged where it is smaller."""
    enlarged = torch.nn.functional.interpolate(before, size=after.shape[-2:], mode="nearest")
    rows = zip(torch.split(enlarged, COLUMNS), torch.split(after, COLUMNS), strict=True)
    return torch.cat([part for pair in rows for part in pair])


def main() -> None:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="the pipeline's folder")
    parser.add_argument("--before", type=Path, help="another pipeline's, to be compared with")
    parser.add_argument("--out", type=Path, required=True, help="a .webp or .png file")
    args = parser.parse_args()
    drawn = draw_twice(load_pipeline(args.model))
    save_sheet(drawn, args.out, columns=COLUMNS)
    if args.before is not None:
        both = beside(draw_twice(load_pipeline(args.before)), drawn)
        save_sheet(both, args.out.with_stem(f"{args.out.stem}-beside"), columns=COLUMNS)


if __name__ == "__main__":
    main()
