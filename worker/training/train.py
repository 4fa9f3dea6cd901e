"""Trains the starter model: prompts and noise to pictures.

    python -m worker.training.train --packages node_modules --work DIR --device cpu --minutes 60

Needs the VAE and the latents that `worker.training.train_vae` and `worker.training.latents` left
in `--work`. Reads top to bottom: latents and captions in, noise added (`diffusion.py`), velocity
predicted, squared error down. A run that finds a checkpoint in `--work` goes on where it ended, and
`--start FOLDER` begins with the weights of a saved pipeline instead of new ones: a model that knows
some things learns more of them much sooner.
"""

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.random import Generator
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from worker.training.budget import Budget, learning_rate
from worker.training.captions import describe
from worker.training.concepts import STYLES
from worker.training.diffusion import add_noise, build_scheduler, signal_shares, velocity
from worker.training.ema import MovingAverage
from worker.training.icons import IconLibrary
from worker.training.latents import FOLDER as LATENTS
from worker.training.latents import LatentSet, draw_batch, load_chunks
from worker.training.models import build_text_encoder, build_unet, save_pipeline, widen_unet
from worker.training.precision import mixed_precision
from worker.training.scenes import Scene, Stage
from worker.training.sheets import save_sheet
from worker.training.text_start import grow_vocabulary, set_words_apart, teach_words
from worker.training.things import all_things
from worker.training.tokenizer import learn_tokenizer

CHECKPOINT = "denoiser.pt"
FOLDER = "pipeline"
EVERY_TIME = 0.3
SHAPING = 0.6  # of all times; the share of the picture in the sum is 0.025 there
SHEET_PROMPTS = (
    "a cat on a yellow background",
    "a red apple on a blue background, 3d style",
    "a hamburger",
    "a rocket on a black background, flat style",
    "a house on a green background, cartoon style",
    "파란 배경의 사과",
    "two cats",
    "a dog and a house on a pink background",
    "a smiling face on a purple background, comic style",
    "a sunflower on a sky blue background",
    "a blue car on a grey background, flat style",
    "분홍색 배경의 강아지 한 마리",
    "three strawberries on a white background",
    "a small penguin on a red background, sticker style",
    "a robot, comic style",
    "a castle on an orange background, pixel art",
)


@dataclass
class Learner:
    """All that a step changes or needs; `modules` are the two networks that learn."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    device: torch.device

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The networks that learn, by their names in a checkpoint."""
        return {"text_encoder": self.text_encoder, "unet": self.unet}

    def tokens(self, captions: list[str]) -> Tensor:
        """Token ids of `captions`, padded as the pipeline pads: int64 of shape [B, 32]."""
        batch = self.tokenizer(
            captions,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        ids: Tensor = batch.input_ids
        return ids.to(self.device)


def learn_vocabulary(stage: Stage, *, captions: int, seed: int) -> CLIPTokenizer:
    """The tokenizer of the recipe's own captions; the same seed gives the same one."""
    rng = np.random.default_rng(seed)
    scenes = (stage.draw(rng) for _ in range(captions))
    return learn_tokenizer(describe(scene, rng) for scene in scenes)


def build_learner(args: argparse.Namespace) -> Learner:
    """Networks around the trained VAE in `<work>/vae`: new ones, or those of `--start`."""
    device = torch.device(args.device)
    torch.manual_seed(args.seed)
    vae = AutoencoderKL.from_pretrained(args.work / "vae", use_safetensors=True).float()
    if (args.work / CHECKPOINT).exists():  # its embeddings belong to that vocabulary
        tokenizer = CLIPTokenizer.from_pretrained(args.work / FOLDER / "tokenizer")
    else:
        tokenizer = learn_vocabulary(
            Stage(IconLibrary(args.packages)), captions=args.captions, seed=args.seed
        )
    if args.start is not None:
        text_encoder = CLIPTextModel.from_pretrained(args.start / "text_encoder").float().train()
        known = CLIPTokenizer.from_pretrained(args.start / "tokenizer")
        grow_vocabulary(text_encoder, known, tokenizer)
        known_unet = UNet2DConditionModel.from_pretrained(args.start / "unet").float()
        unet = widen_unet(known_unet, channels=vae.config.latent_channels).train()
    else:
        text_encoder = build_text_encoder(tokenizer)
        unet = build_unet(args.size_px // 16, channels=vae.config.latent_channels)
    unet = unet.to(device, memory_format=torch.channels_last)
    if device.type == "cpu":
        # The fused kernel's backward is slow on CPUs: without it a step takes a fifth less.
        unet.set_attn_processor(AttnProcessor())
    return Learner(
        tokenizer=tokenizer,
        text_encoder=text_encoder.to(device),
        unet=unet,
        vae=vae.to(device, memory_format=torch.channels_last).eval().requires_grad_(False),
        device=device,
    )


def denoising_loss(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokens: Tensor,
    clean: Tensor,
    noise: Tensor,
    times: Tensor,
    share: Tensor,
) -> Tensor:
    """Mean squared error of the predicted velocity at `times` [B], where a_t is `share` [B]."""
    noisy = add_noise(clean, noise, share)
    with mixed_precision(clean.device):
        words = text_encoder(tokens).last_hidden_state
        predicted = unet(noisy, times, encoder_hidden_states=words).sample
    return F.mse_loss(predicted.float(), velocity(clean, noise, share))


def spread_times(batch: int, count: int) -> Tensor:
    """`batch` times in 0..count-1, in random order: `EVERY_TIME` of them from all times, the others
    from the first `SHAPING` of them, each from a span of its own.

    A batch then sees all noise levels, which quiets the gradient for nothing. Later times are
    nearly all noise: what can be learned there takes few samples, the background and the place of
    things, since no drawing can be told before it is settled where it stands.
    """
    spans = (torch.arange(batch) + torch.rand(batch, dtype=torch.float64)) / batch
    shaping = (spans - EVERY_TIME) / (1 - EVERY_TIME) * SHAPING
    shares = torch.where(spans < EVERY_TIME, spans / EVERY_TIME, shaping)
    return (shares * count).long().clamp(max=count - 1)[torch.randperm(batch)]


def captions_for(scenes: list[Scene], rng: Generator, *, unconditional: float) -> list[str]:
    """A caption per scene; a share of them is empty, which is what guidance steers away from."""
    return ["" if rng.random() < unconditional else describe(scene, rng) for scene in scenes]


def train(args: argparse.Namespace) -> float:
    """Trains until the budget is spent and saves `<work>/pipeline`; returns the last mean loss."""
    learner = build_learner(args)
    known = load_chunks(args.work / LATENTS)
    parameters = [p for module in learner.modules.values() for p in module.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=args.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    if not (args.work / CHECKPOINT).exists():
        start_words(args, learner, known)
    average = MovingAverage(learner.modules, decay=args.ema)
    budget, step = Budget(args.minutes, args.steps), 0
    if (args.work / CHECKPOINT).exists():
        step, budget.spent_s = load_checkpoint(args.work / CHECKPOINT, learner, optimizer, average)
    rng = np.random.default_rng((args.seed, step))
    torch.manual_seed(args.seed + step)
    shares = signal_shares().float().to(learner.device)
    bar = tqdm(initial=step, unit="step", mininterval=10.0)
    mean_loss, begun = 1.0, step
    while (used := budget.fraction(step)) < 1.0:
        optimizer.param_groups[0]["lr"] = learning_rate(args.lr, step=step, fraction=used)
        loss = train_step(args, learner, known, rng, shares)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update(learner.modules)
        step += 1
        mean_loss += (float(loss.detach()) - mean_loss) * max(0.01, 1.0 / (step - begun))
        bar.update()
        bar.set_postfix(loss=f"{mean_loss:.4f}", samples=step * args.batch, refresh=False)
        if step % args.save_every == 0:
            save(args, learner, optimizer, average, step=step, spent_s=budget.elapsed_s())
            known = load_chunks(args.work / LATENTS)
    save(args, learner, optimizer, average, step=step, spent_s=budget.elapsed_s())
    return mean_loss


def start_words(args: argparse.Namespace, learner: Learner, known: LatentSet) -> None:
    """Lets the text encoder learn what captions stand for before the U-Net listens to it."""
    rng = np.random.default_rng((args.seed, 1))
    pairs = itertools.product(
        (thing.slug for thing in all_things()), (style.slug for style in STYLES)
    )
    drawings = {pair: index for index, pair in enumerate(pairs)}

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        scenes, latents = draw_batch(known, batch=3 * args.batch // 2, rng=rng)
        captions = captions_for(scenes, rng, unconditional=0.0)
        shares = torch.zeros(len(scenes), len(drawings))
        for row, scene in zip(shares, scenes, strict=True):
            for thing in scene.things:
                row[drawings[thing, scene.style.slug]] += 1.0 / len(scene.things)
        return learner.tokens(captions), latents.to(learner.device), shares.to(learner.device)

    if args.start is None:
        set_words_apart(learner.text_encoder)
    teach_words(learner.text_encoder, learner.unet, draw, steps=args.word_steps)


def train_step(
    args: argparse.Namespace,
    learner: Learner,
    known: LatentSet,
    rng: Generator,
    shares: Tensor,
) -> Tensor:
    """The loss of one batch: scenes drawn, captioned, noised at random times."""
    scenes, latents = draw_batch(known, batch=args.batch, rng=rng)
    captions = captions_for(scenes, rng, unconditional=args.unconditional)
    clean = latents.to(learner.device, memory_format=torch.channels_last)
    times = spread_times(args.batch, len(shares)).to(learner.device)
    noise = torch.randn_like(clean)
    return denoising_loss(
        learner.unet,
        learner.text_encoder,
        learner.tokens(captions),
        clean,
        noise,
        times,
        shares[times],
    )


def save(
    args: argparse.Namespace,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage,
    *,
    step: int,
    spent_s: float,
) -> None:
    """Writes the checkpoint, the averaged weights as a pipeline folder, and a contact sheet."""
    state: dict[str, Any] = {
        name: {key: value.clone() for key, value in module.state_dict().items()}
        for name, module in learner.modules.items()
    }
    state |= {"optimizer": optimizer.state_dict(), "step": step, "spent_s": spent_s}
    state |= {"average": average.weights, "updates": average.updates}
    fresh = args.work / (CHECKPOINT + ".new")
    torch.save(state, fresh)
    fresh.replace(args.work / CHECKPOINT)
    for name, module in learner.modules.items():
        module.load_state_dict(average.weights[name])
    save_pipeline(
        args.work / FOLDER,
        tokenizer=learner.tokenizer,
        text_encoder=learner.text_encoder,
        unet=learner.unet,
        vae=learner.vae,
    )
    save_sheet(draw_samples(learner, SHEET_PROMPTS), args.work / f"sheet-{step:06d}.png", columns=8)
    for name, module in learner.modules.items():
        module.load_state_dict(state[name])


@torch.no_grad()
def draw_samples(learner: Learner, prompts: tuple[str, ...]) -> Tensor:
    """One picture per prompt, seeds 0, 1, ...: float [B, 3, H, W] in 0..1."""
    pipeline = StableDiffusionPipeline(
        tokenizer=learner.tokenizer,
        text_encoder=learner.text_encoder,
        unet=learner.unet,
        vae=learner.vae,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator("cpu").manual_seed(i) for i in range(len(prompts))]
    pictures: Tensor = pipeline(
        list(prompts),
        num_inference_steps=20,
        guidance_scale=2.0,
        generator=generators,
        output_type="pt",
    ).images
    return pictures.float().cpu()


def load_checkpoint(
    path: Path, learner: Learner, optimizer: torch.optim.Optimizer, average: MovingAverage
) -> tuple[int, float]:
    """Puts everything back; returns (step, seconds trained so far)."""
    state = torch.load(path, weights_only=True, map_location=learner.device)
    for name, module in learner.modules.items():
        module.load_state_dict(state[name])
    optimizer.load_state_dict(state["optimizer"])
    average.weights, average.updates = state["average"], state["updates"]
    return int(state["step"]), float(state["spent_s"])


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="the node_modules folder")
    parser.add_argument("--work", type=Path, required=True, help="where checkpoints are kept")
    parser.add_argument("--start", type=Path, help="a pipeline's folder to begin with")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--size-px", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--captions", type=int, default=30_000, help="that the words come from")
    parser.add_argument("--word-steps", type=int, default=1500, help="of the text encoder alone")
    parser.add_argument("--lr", type=float, default=9e-4)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--unconditional", type=float, default=0.1)
    parser.add_argument("--save-every", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    train(parse_arguments())
