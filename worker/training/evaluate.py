"""Measures the starter model: does it draw what it is asked for?

    python -m worker.training.evaluate --packages node_modules --model DIR --out DIR

Fixed prompts and seeds, judged by a classifier that never saw the generator (`judge.py`). Prints
the figures and writes `evaluation.json` and `sheet.png` to `--out`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from torch import Tensor
from tqdm import tqdm

from worker.training.captions import Names
from worker.training.concepts import COLOURS, STYLES, all_icons
from worker.training.icons import IconLibrary
from worker.training.judge import (
    Judge,
    background_of,
    judge_pictures,
    load_or_train_judge,
    share_of,
)
from worker.training.latents import composed_scenes
from worker.training.prompts import Prompt, composed_prompts, single_prompts
from worker.training.scenes import Scene, paint, slots_of
from worker.training.sheets import save_sheet
from worker.training.train_vae import psnr_db, reconstruct

Figures = dict[str, Any]
SWEEP: Final = (1.0, 2.0, 3.0, 5.0, 7.5)
SWEEP_PROMPTS: Final = 40
NEGATIVE_PROMPTS: Final = 60


def generate(
    pipeline: StableDiffusionPipeline,
    texts: Sequence[str],
    *,
    steps: int,
    guidance: float,
    negative: str = "",
    batch: int = 8,
) -> Tensor:
    """A picture per text, prompt i with seed i: float [B, 3, H, W] in 0..1."""
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
                    torch.Generator("cpu").manual_seed(start + i) for i in range(len(prompts))
                ],
                output_type="pt",
            ).images.float()
        )
    return torch.cat(pictures).cpu()


def score(judge: Judge, prompts: Sequence[Prompt], pictures: Tensor) -> Figures:
    """Shares of `pictures` that show what their prompts ask for, of one thing each."""
    ranking, styles = judge_pictures(judge, pictures)
    wanted = [all_icons().index(prompt.scene.things[0]) for prompt in prompts]
    rows = list(zip(prompts, wanted, ranking.tolist(), styles.tolist(), pictures, strict=True))
    return {
        "top1": share_of([index == row[0] for _, index, row, _, _ in rows]),
        "top5": share_of([index in row[:5] for _, index, row, _, _ in rows]),
        "style": share_of([STYLES[s] == p.scene.style for p, _, _, s, _ in rows]),
        "background": share_of(
            [background_of(picture) == p.scene.background.slug for p, _, _, _, picture in rows]
        ),
    }


def score_composed(judge: Judge, prompts: Sequence[Prompt], pictures: Tensor) -> Figures:
    """Background as above; each thing is judged alone, cut out where it should stand."""
    hits = []
    for prompt, picture in zip(prompts, pictures, strict=True):
        things = [all_icons().index(thing) for thing in prompt.scene.things]
        ranking, _ = judge_pictures(judge, cut_things(prompt.scene, picture))
        hits += [index in row[:5] for index, row in zip(things, ranking.tolist(), strict=True)]
    backgrounds = [
        background_of(picture) == prompt.scene.background.slug
        for prompt, picture in zip(prompts, pictures, strict=True)
    ]
    return {"top5_per_thing": share_of(hits), "background": share_of(backgrounds)}


def cut_things(scene: Scene, picture: Tensor) -> Tensor:
    """The squares of `picture`, [3, H, W], where the things stand: [things, 3, 64, 64]."""
    side_px = picture.shape[-1]
    cuts = []
    for centre_x, centre_y, size in slots_of(scene):
        half = size * 0.56  # a little air around each, as the judge is used to
        left, top = (round(max(0.0, c - half) * side_px) for c in (centre_x, centre_y))
        right, bottom = (round(min(1.0, c + half) * side_px) for c in (centre_x, centre_y))
        cut = picture[None, :, top:bottom, left:right]
        cuts.append(torch.nn.functional.interpolate(cut, size=(64, 64), mode="bilinear"))
    return torch.cat(cuts)


def measure_judge(
    judge: Judge, prompts: list[Prompt], icons: IconLibrary, vae: AutoencoderKL
) -> Figures:
    """The judge on true pictures of the prompts, through the VAE: the ceiling of all else."""
    pixels = np.stack([paint(prompt.scene, icons, 128) for prompt in prompts])
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return score(
        judge, prompts, torch.cat([reconstruct(vae, p) for p in torch.split(pictures, 16)])
    )


def measure_vae(vae: AutoencoderKL, icons: IconLibrary, *, size_px: int, count: int = 96) -> float:
    """PSNR in decibels on composed scenes and single things, from another seed than training."""
    scenes = composed_scenes(count, all_icons(), seed=99) + _every_third(count)
    pixels = np.stack([paint(scene, icons, size_px) for scene in scenes])
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    values = [psnr_db(vae, part) for part in torch.split(pictures, 16)]
    return sum(values) / len(values)


def _every_third(count: int) -> list[Scene]:
    names = all_icons()
    return [
        Scene("single", (names[i % len(names)],), STYLES[i % 3], COLOURS[i % len(COLOURS)])
        for i in range(0, 3 * count, 3)
    ]


def measure_negative(
    pipeline: StableDiffusionPipeline, judge: Judge, names: Names, *, steps: int, guidance: float
) -> Figures:
    """How often white, and how often 3d, with and without naming it in the negative prompt."""
    icons = all_icons()
    texts = [names.of(icons[i * 3 % len(icons)], "en")[0] for i in range(NEGATIVE_PROMPTS)]

    def count(negative: str) -> tuple[int, int]:
        pictures = generate(pipeline, texts, steps=steps, guidance=guidance, negative=negative)
        whites = sum(background_of(picture) == "white" for picture in pictures)
        styles = judge_pictures(judge, pictures)[1]
        return whites, int((styles == 0).sum())

    plain, no_white, no_3d = (count(n) for n in ("", "white background", "3d style"))
    return {
        "pictures": len(texts),
        "white_without": plain[0],
        "white_with_negative_white_background": no_white[0],
        "3d_without": plain[1],
        "3d_with_negative_3d_style": no_3d[1],
    }


def sweep_guidance(
    pipeline: StableDiffusionPipeline, judge: Judge, prompts: list[Prompt], *, steps: int
) -> Figures:
    """The single-thing figures at each guidance scale, on the first prompts."""
    some = prompts[:SWEEP_PROMPTS]
    texts = [prompt.text for prompt in some]
    return {
        str(scale): score(judge, some, generate(pipeline, texts, steps=steps, guidance=scale))
        for scale in SWEEP
    }


def evaluate(args: argparse.Namespace) -> Figures:
    """All figures; writes them and the sheet to `args.out`."""
    names, icons = Names(args.packages), IconLibrary(args.packages)
    judge = load_or_train_judge(args.judge, icons, steps=args.judge_steps)
    pipeline = StableDiffusionPipeline.from_pretrained(
        args.model, safety_checker=None, torch_dtype=torch.float32, use_safetensors=True
    ).to(args.device)
    pipeline.set_progress_bar_config(disable=True)
    singles, composed = single_prompts(names), composed_prompts(names)
    shared = {"steps": args.steps, "guidance": args.guidance}
    pictures = generate(pipeline, [p.text for p in singles], **shared)
    several = generate(pipeline, [p.text for p in composed], **shared)
    size_px = pictures.shape[-1]
    figures: Figures = {"resolution_px": size_px, **score(judge, singles, pictures)}
    figures["psnr_db"] = measure_vae(pipeline.vae, icons, size_px=size_px)
    figures["composed"] = score_composed(judge, composed, several)
    figures["judge"] = measure_judge(judge, singles, icons, pipeline.vae)
    figures["negative_prompt"] = measure_negative(pipeline, judge, names, **shared)
    figures["guidance_sweep"] = sweep_guidance(pipeline, judge, singles, steps=args.steps)
    figures["settings"] = shared | {"sampler": type(pipeline.scheduler).__name__}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "evaluation.json").write_text(json.dumps(_rounded(figures), indent=2) + "\n")
    save_sheet(torch.cat([pictures[:64], several[:32]]), args.out / "sheet.png", columns=12)
    return figures


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="the node_modules folder")
    parser.add_argument("--model", type=Path, required=True, help="the pipeline's folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True, help="kept here between runs")
    parser.add_argument("--judge-steps", type=int, default=2000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    print(json.dumps(_rounded(evaluate(parse_arguments())), indent=2))
