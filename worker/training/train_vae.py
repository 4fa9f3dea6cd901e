"""Trains the starter model's VAE: pictures to latents a sixteenth of the side, and back.

    python -m worker.training.train_vae --packages node_modules --work DIR --minutes 60

Reads top to bottom: paint pictures, reconstruct them, save. A run that finds a
checkpoint in `--work` goes on where it ended. `--grow FOLDER` begins with a trained VAE for half
the side, which gets a stage more (`vae_growth.py`). Once a denoiser has learned the latents, only
the decoder may still change: `train_decoder.py` makes its pictures crisper.
"""

import argparse
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from diffusers import AutoencoderKL
from numpy.random import Generator
from torch import Tensor
from tqdm import tqdm

from worker.training.budget import Budget, learning_rate
from worker.training.ema import MovingAverage
from worker.training.icons import IconLibrary
from worker.training.precision import mixed_precision
from worker.training.scenes import Stage
from worker.training.sheets import save_sheet
from worker.training.vae_growth import even_out, grow_vae
from worker.training.vae_start import start_near_linear

CHECKPOINT = "vae.pt"
FOLDER = "vae"
CHANNELS = 8


def build_vae(sample_size_px: int = 256, *, channels: int = CHANNELS) -> AutoencoderKL:
    """An untrained VAE of 4 M parameters, convolutional throughout: it takes any size."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 5,
        up_block_types=("UpDecoderBlock2D",) * 5,
        block_out_channels=(16, 16, 32, 64, 160),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=sample_size_px,
    )
    start_near_linear(vae)
    return vae


def paint_many(stage: Stage, *, count: int, size_px: int, rng: Generator) -> Tensor:
    """`count` scenes drawn by chance: uint8 of shape [count, 3, size_px, size_px]."""
    pictures = torch.empty(count, 3, size_px, size_px, dtype=torch.uint8)
    for number in tqdm(range(count), desc="paint", mininterval=10.0):
        picture = stage.paint(stage.draw(rng), size_px)
        pictures[number] = torch.from_numpy(picture.copy()).permute(2, 0, 1)
    return pictures


def load_or_paint(args: argparse.Namespace, rng: Generator) -> Tensor:
    """The pictures to learn from, kept in `--work`: a run that goes on need not paint again."""
    path = args.work / f"pictures-{args.pictures}-{args.size_px}.pt"
    if not path.exists():
        stage = Stage(IconLibrary(args.packages))
        torch.save(paint_many(stage, count=args.pictures, size_px=args.size_px, rng=rng), path)
    pictures: Tensor = torch.load(path, weights_only=True, mmap=True)
    return pictures


def draw_pictures(pictures: Tensor, *, batch: int, rng: Generator) -> Tensor:
    """`batch` of `pictures`, uint8 [N, 3, H, W], half of them mirrored: float [B, ...] in -1..1.

    Whole ones, not crops, although a convolution does not mind: a group norm's statistics do.
    On crops of half the side, crops came to 30.2 dB and whole pictures fell from 28.1 to 28.0;
    1,100 steps on whole ones, at the same cost a step, took them to 29.9.
    """
    chosen = torch.from_numpy(rng.integers(len(pictures), size=batch))
    mirrored = torch.from_numpy(rng.random(batch) < 0.5)[:, None, None, None]
    drawn = pictures[chosen]
    return torch.where(mirrored, drawn.flip(-1), drawn).float() / 127.5 - 1.0


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Squared and absolute error, and the error of the slopes, which keeps edges crisp."""
    slopes = sum(F.l1_loss(output.diff(dim=axis), target.diff(dim=axis)) for axis in (-1, -2))
    return F.mse_loss(output, target) + 0.3 * F.l1_loss(output, target) + 0.2 * slopes


def vae_loss(vae: AutoencoderKL, pictures: Tensor, *, kl_weight: float) -> tuple[Tensor, Tensor]:
    """(loss, mean squared error) of reconstructing `pictures` from a sampled latent."""
    with mixed_precision(pictures.device):
        moments = vae.quant_conv(vae.encoder(pictures))
    mean, log_variance = moments.float().chunk(2, dim=1)
    log_variance = log_variance.clamp(-20.0, 10.0)
    latents = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
    with mixed_precision(pictures.device):
        output = vae.decoder(vae.post_quant_conv(latents)).float()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    loss = reconstruction_loss(output, pictures) + kl_weight * kl
    return loss, F.mse_loss(output.detach(), pictures)


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """`pictures`, uint8 [B, 3, H, W], through the VAE and back: float in 0..1."""
    inputs = (pictures.float() / 127.5 - 1.0).to(vae.device)
    output = vae.decode(vae.encode(inputs).latent_dist.mode()).sample
    pixels: Tensor = ((output.float() + 1.0) / 2.0).clamp(0.0, 1.0).cpu()
    return pixels


def psnr_db(vae: AutoencoderKL, pictures: Tensor) -> float:
    """Mean peak signal-to-noise ratio over `pictures`, in decibels; each picture counts alike."""
    errors = (reconstruct(vae, pictures) - pictures.float() / 255.0).square().mean(dim=(1, 2, 3))
    return float((-10.0 * errors.clamp_min(1e-10).log10()).mean())


def start_vae(args: argparse.Namespace) -> AutoencoderKL:
    """A fresh VAE, or `--grow`'s with a stage more."""
    if args.grow is None:
        return build_vae(args.size_px, channels=args.channels)
    known = AutoencoderKL.from_pretrained(args.grow, use_safetensors=True).float()
    return grow_vae(known, channels=args.channels)


def train(args: argparse.Namespace) -> None:
    """Trains until the budget is spent and saves the VAE to `<work>/vae`."""
    rng = np.random.default_rng(args.seed)
    torch.manual_seed(args.seed)
    pictures = load_or_paint(args, rng)
    held_out, pictures = pictures[:64], pictures[64:]
    vae = start_vae(args).to(args.device, memory_format=torch.channels_last)
    learning = list(vae.parameters())
    optimizer = torch.optim.AdamW(learning, lr=args.lr, betas=(0.9, 0.99), weight_decay=0.0)
    average = MovingAverage({"vae": vae}, decay=args.ema)
    budget, step = Budget(args.minutes, args.steps), 0
    checkpoint = args.work / CHECKPOINT
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights, average.updates = state["average"], state["updates"]
        step, budget.spent_s = state["step"], state["spent_s"]
        rng = np.random.default_rng((args.seed, step))
    bar = tqdm(initial=step, unit="step", mininterval=10.0)
    while (used := budget.fraction(step)) < 1.0:
        optimizer.param_groups[0]["lr"] = learning_rate(args.lr, step=step, fraction=used)
        batch = draw_pictures(pictures, batch=args.batch, rng=rng)
        batch = batch.to(args.device, memory_format=torch.channels_last)
        loss, squared_error = vae_loss(vae, batch, kl_weight=args.kl_weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        average.update({"vae": vae})
        step += 1
        bar.update()
        bar.set_postfix(loss=f"{loss.item():.4f}", mse=f"{squared_error.item():.4f}", refresh=False)
        if step % args.save_every == 0:
            save(
                args,
                vae,
                optimizer,
                average,
                step=step,
                spent_s=budget.elapsed_s(),
                held_out=held_out,
            )
    save(args, vae, optimizer, average, step=step, spent_s=budget.elapsed_s(), held_out=held_out)


def save(
    args: argparse.Namespace,
    vae: AutoencoderKL,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage,
    *,
    step: int,
    spent_s: float,
    held_out: Tensor,
) -> None:
    """Writes the checkpoint, the averaged VAE in diffusers format and a sheet of originals and
    copies."""
    state = {"vae": vae.state_dict(), "optimizer": optimizer.state_dict()}
    state |= {"average": average.weights, "updates": average.updates}
    checkpoint = args.work / CHECKPOINT
    fresh = checkpoint.with_suffix(".new")
    torch.save(state | {"step": step, "spent_s": spent_s}, fresh)
    fresh.replace(checkpoint)
    shown = deepcopy(vae)
    shown.load_state_dict(average.weights["vae"])
    even_out(shown, held_out)
    shown.save_pretrained(args.work / FOLDER)
    pairs = torch.cat([held_out[:32].float() / 255.0, reconstruct(shown, held_out[:32])])
    save_sheet(pairs, args.work / "vae.png", columns=8)
    tqdm.write(f"step {step}: PSNR {psnr_db(shown, held_out):.2f} dB after {spent_s / 60:.1f} min")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--packages", type=Path, required=True, help="the node_modules folder")
    parser.add_argument("--work", type=Path, required=True, help="where checkpoints are kept")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--grow", type=Path, help="the folder of a VAE for half the side")
    parser.add_argument("--channels", type=int, default=CHANNELS, help="of a latent")
    parser.add_argument("--size-px", type=int, default=256)
    parser.add_argument("--batch", type=int, default=2)
    # 3000 were learned by heart: PSNR of others fell again after 5000 steps.
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--kl-weight", type=float, default=1e-4)
    parser.add_argument("--save-every", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    arguments = parse_arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    train(arguments)
