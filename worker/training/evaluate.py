"""Measures the starter model: does it draw what it is asked for?

    python -m worker.training.evaluate --packages node_modules --model DIR --before DIR --out DIR

Fixed prompts and seeds, judged by a classifier that never saw the generator (`judge.py`). Prints
the figures and writes `evaluation.json` and `sheet.png` to `--out`. `--before` names other weights:
four seeds of a prompt must differ more than theirs do.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from torch import Tensor

from worker.training.captions import with_article
from worker.training.concepts import COLOURS, STYLES, THING_COLOURS
from worker.training.drawing import generate, load_pipeline
from worker.training.icons import IconLibrary
from worker.training.judge import (
    Judge,
    background_of,
    judge_pictures,
    load_or_train_judge,
    share_of,
)
from worker.training.prompts import Prompt, coloured_prompts, composed_prompts, single_prompts
from worker.training.scenes import Scene, Stage, slots_of
from worker.training.sheets import save_sheet
from worker.training.things import all_things, thing_number
from worker.training.train_vae import paint_many, psnr_db, reconstruct

Figures = dict[str, Any]
SWEEP: Final = (1.0, 2.0, 3.0, 5.0, 7.5)
SWEEP_PROMPTS: Final = 40
NEGATIVE_PROMPTS: Final = 60
VARIETY_SEEDS: Final = 4
VARIETY_THINGS: Final = (
    *("cat", "dog", "red apple", "car", "house", "rocket", "guitar", "tulip", "elephant"),
    *("hamburger", "penguin", "sailboat", "fish", "owl", "lion", "star", "pizza", "strawberry"),
    *("castle", "robot", "bus", "bicycle", "balloon", "butterfly", "tree", "panda", "train"),
)
VAE_PICTURES: Final = 192
VAE_SEED: Final = 99  # another one than training's


def score(judge: Judge, prompts: Sequence[Prompt], pictures: Tensor) -> Figures:
    """Shares of `pictures` that show what their prompts ask for, of one thing each."""
    verdict = judge_pictures(judge, pictures)
    wanted = [thing_number(prompt.scene.things[0]) for prompt in prompts]
    ranked = list(zip(wanted, verdict.things.tolist(), strict=True))
    styles = zip(prompts, verdict.styles.tolist(), strict=True)
    return {
        "top1": share_of([number == row[0] for number, row in ranked]),
        "top5": share_of([number in row[:5] for number, row in ranked]),
        "style": share_of([STYLES[said].slug == p.scene.style.slug for p, said in styles]),
        "background": _backgrounds(prompts, pictures),
    }


def score_styles(judge: Judge, prompts: Sequence[Prompt], pictures: Tensor) -> Figures:
    """Style as asked, for every style apart."""
    said = judge_pictures(judge, pictures).styles.tolist()
    pairs = [(p.scene.style.slug, STYLES[s].slug) for p, s in zip(prompts, said, strict=True)]
    asked = {style.slug: [a == b for a, b in pairs if a == style.slug] for style in STYLES}
    return {slug: share_of(hits) for slug, hits in asked.items()}


def score_colours(judge: Judge, prompts: Sequence[Prompt], pictures: Tensor) -> float:
    """The share of things that have the colour asked for."""
    said = judge_pictures(judge, pictures).colours.tolist()
    slugs = [*(colour.slug for colour in THING_COLOURS), ""]
    return share_of(
        [slugs[s] == prompt.scene.colour for prompt, s in zip(prompts, said, strict=True)]
    )


def score_composed(judge: Judge, prompts: Sequence[Prompt], pictures: Tensor) -> Figures:
    """Background as above; each thing is judged alone, cut out where it should stand."""
    hits = []
    for prompt, picture in zip(prompts, pictures, strict=True):
        wanted = [thing_number(thing) for thing in prompt.scene.things]
        ranking = judge_pictures(judge, cut_things(prompt.scene, picture)).things
        hits += [number in row[:5] for number, row in zip(wanted, ranking.tolist(), strict=True)]
    return {"top5_per_thing": share_of(hits), "background": _backgrounds(prompts, pictures)}


def _backgrounds(prompts: Sequence[Prompt], pictures: Tensor) -> float:
    pairs = zip(prompts, pictures, strict=True)
    return share_of([background_of(shown) == p.scene.background.slug for p, shown in pairs])


def cut_things(scene: Scene, picture: Tensor) -> Tensor:
    """The squares of `picture`, [3, H, W], where the things stand: [things, 3, 64, 64]."""
    side_px = picture.shape[-1]
    cuts = []
    for slot in slots_of(scene.layout, len(scene.things)):
        (centre_x, centre_y), size = slot.centre, slot.largest
        half = size * 0.58  # a little air around each, as the judge is used to
        left, top = (round(max(0.0, c - half) * side_px) for c in (centre_x, centre_y))
        right, bottom = (round(min(1.0, c + half) * side_px) for c in (centre_x, centre_y))
        cut = picture[None, :, top:bottom, left:right]
        cuts.append(torch.nn.functional.interpolate(cut, size=(64, 64), mode="bilinear"))
    return torch.cat(cuts)


def measure_judge(
    judge: Judge, prompts: list[Prompt], stage: Stage, vae: AutoencoderKL, *, size_px: int
) -> Figures:
    """The judge on true pictures of the prompts, through the VAE: the ceiling of all else."""
    pixels = np.stack([stage.paint(prompt.scene, size_px) for prompt in prompts])
    parts = torch.split(torch.from_numpy(pixels).permute(0, 3, 1, 2), 16)
    return score(judge, prompts, torch.cat([reconstruct(vae, part) for part in parts]))


def measure_vae(vae: AutoencoderKL, stage: Stage, *, size_px: int) -> float:
    """PSNR in decibels on scenes that training never drew, all layouts and styles."""
    rng = np.random.default_rng(VAE_SEED)
    pictures = paint_many(stage, count=VAE_PICTURES, size_px=size_px, rng=rng)
    values = [psnr_db(vae, part) for part in torch.split(pictures, 16)]
    return sum(values) / len(values)


def measure_variety(
    pipeline: StableDiffusionPipeline, judge: Judge, *, steps: int, guidance: float
) -> float:
    """How far four seeds of a prompt are from one another: the median, over prompts of things that
    the first weights knew too, of the mean distance between two of the four in the judge's
    features."""
    texts = [
        f"{with_article(thing)} on {with_article(COLOURS[number % len(COLOURS)].slug)} background"
        for number, thing in enumerate(VARIETY_THINGS)
    ]
    seen = [
        judge_pictures(
            judge,
            generate(pipeline, texts, steps=steps, guidance=guidance, first_seed=1000 * (seed + 1)),
        ).features
        for seed in range(VARIETY_SEEDS)
    ]
    pairs = itertools.combinations(seen, 2)
    distances = torch.stack([(one - other).norm(dim=1) for one, other in pairs])
    return float(distances.mean(dim=0).median())


def measure_negative(
    pipeline: StableDiffusionPipeline, judge: Judge, *, steps: int, guidance: float
) -> Figures:
    """How often white, and how often 3d, with and without naming it in the negative prompt."""
    things = all_things()
    texts = [things[i * 5 % len(things)].names["en"][0] for i in range(NEGATIVE_PROMPTS)]

    def count(negative: str) -> tuple[int, int]:
        pictures = generate(pipeline, texts, steps=steps, guidance=guidance, negative=negative)
        whites = sum(background_of(picture) == "white" for picture in pictures)
        styles = judge_pictures(judge, pictures).styles
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
    stage = Stage(IconLibrary(args.packages))
    judge = load_or_train_judge(args.judge, stage.icons, steps=args.judge_steps)
    pipeline = load_pipeline(args.model, args.device)
    singles, coloured, composed = (
        single_prompts(stage),
        coloured_prompts(stage),
        composed_prompts(stage),
    )
    shared = {"steps": args.steps, "guidance": args.guidance}
    pictures, in_colour, several = (
        generate(pipeline, [prompt.text for prompt in prompts], **shared)
        for prompts in (singles, coloured, composed)
    )
    size_px = pictures.shape[-1]
    figures: Figures = {"resolution_px": size_px, "things": len(all_things())}
    figures |= score(judge, singles, pictures)
    figures["styles"] = score_styles(judge, singles, pictures)
    figures["colour"] = score_colours(judge, coloured, in_colour)
    figures["psnr_db"] = measure_vae(pipeline.vae, stage, size_px=size_px)
    figures["composed"] = score_composed(judge, composed, several)
    variety = measure_variety(pipeline, judge, **shared)
    before = measure_variety(load_pipeline(args.before, args.device), judge, **shared)
    figures["variety"] = {"median": variety, "before": before}
    figures["variety_ratio"] = variety / before
    figures["judge"] = measure_judge(judge, singles, stage, pipeline.vae, size_px=size_px)
    figures["negative_prompt"] = measure_negative(pipeline, judge, **shared)
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
    parser.add_argument("--before", type=Path, required=True, help="the weights to compare with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True, help="kept here between runs")
    parser.add_argument("--judge-steps", type=int, default=4000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    print(json.dumps(_rounded(evaluate(parse_arguments())), indent=2))
