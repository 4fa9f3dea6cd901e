"""Draws the sample sheet of the starter model: everyday prompts, one seed each, nothing picked.

python -m worker.training.showcase --model worker/starter/pipeline --out worker/starter/sheet.webp
"""

import argparse
from pathlib import Path
from typing import Final

import torch
from diffusers import StableDiffusionPipeline

from worker.training.evaluate import generate
from worker.training.sheets import save_sheet

COLUMNS: Final = 10
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
    "a car on a grey background, flat style",
    "a strawberry on a white background",
    "a fox on a green background",
    "a penguin on a sky blue background",
    "a house on a yellow background, cartoon style",
    "a doughnut on a pink background",
    "a robot on a black background, flat style",
    "an owl on a purple background, flat style",
    "a tulip on a white background, 3d style",
    "a cup of coffee on a brown background",
    "a balloon on a sky blue background",
    "a lion on a blue background, cartoon style",
    "an octopus on a white background",
    "a birthday cake",
    "a ghost on an orange background",
    "a unicorn",
    "a dinosaur on an orange background, cartoon style",
    "an ice cream on a pink background",
    "a pumpkin on a purple background",
    "a guitar on a blue background",
    "a whale on a sky blue background",
    "an alien on a black background, flat style",
    "a bicycle on a yellow background",
    "a christmas tree",
    "a volcano on a purple background",
    "two cherries on a white background, 3d style",
    "a red heart and a star on a black background",
    "파란 배경의 사과",
    "분홍색 배경의 강아지",
    "초록색 배경의 공룡, 만화 스타일",
    "노란 배경의 고양이",
)


def main() -> None:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="the pipeline's folder")
    parser.add_argument("--out", type=Path, required=True, help="a .webp or .png file")
    args = parser.parse_args()
    pipeline = StableDiffusionPipeline.from_pretrained(
        args.model, safety_checker=None, torch_dtype=torch.float32, use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    save_sheet(generate(pipeline, PROMPTS, steps=20, guidance=2.0), args.out, columns=COLUMNS)


if __name__ == "__main__":
    main()
