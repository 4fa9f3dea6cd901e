"""Trains the VAE's decoder once more, for crisp edges; the latents stay as they are.

    python -m worker.training.train_decoder --packages node_modules --work DIR --minutes 60

Squared error alone leaves an edge soft whose place the latent does not say exactly. A critic that
sees patches and learns what true ones look like makes the decoder decide (Isola et al. 2017,
arXiv:1611.07004; its loss is the hinge's). Its gradient is scaled to a share of that of the
reconstruction, as in VQGAN (Esser et al. 2021, arXiv:2012.09841), but measured at the picture.
The decoder sees latents with a little noise, since a denoiser's are never exact.
A run that finds a checkpoint in `--work` goes on where it ended.
"""

import argparse
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from diffusers import AutoencoderKL
from torch import Tensor, nn
from tqdm import tqdm

from worker.training.budget import Budget, learning_rate
from worker.training.ema import MovingAverage
from worker.training.precision import mixed_precision
from worker.training.sheets import save_sheet
from worker.training.train_vae import (
    FOLDER,
    draw_pictures,
    load_or_paint,
    psnr_db,
    reconstruct,
    reconstruction_loss,
)

CHECKPOINT: Final = "decoder.pt"
HELD_OUT: Final = 64


class Critic(nn.Sequential):
    """Pictures [B, 3, H, W] in -1..1 to how true each patch looks: [B, 1, H / 4, W / 4]."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 32, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.GroupNorm(4, 64),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.GroupNorm(4, 128),
            nn.LeakyReLU(0.2),
            nn.Conv2d(128, 1, 3, padding=1),
        )


@dataclass
class Learner:
    """The VAE, of which the decoder learns, its critic, and what moves them."""

    vae: AutoencoderKL
    critic: Critic
    decoding: torch.optim.Optimizer
    judging: torch.optim.Optimizer
    average: MovingAverage

    @property
    def learning(self) -> list[nn.Parameter]:
        """The parameters behind the latents."""
        return [*self.vae.post_quant_conv.parameters(), *self.vae.decoder.parameters()]

    @property
    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """What a checkpoint holds beside the average, by name."""
        return {
            "vae": self.vae,
            "critic": self.critic,
            "decoding": self.decoding,
            "judging": self.judging,
        }


def build_learner(args: argparse.Namespace) -> Learner:
    """The trained VAE of `<work>/vae` and a critic that knows nothing yet."""
    vae = AutoencoderKL.from_pretrained(args.work / FOLDER, use_safetensors=True).float()
    vae = vae.to(args.device, memory_format=torch.channels_last).requires_grad_(False)
    vae.decoder.requires_grad_(True)
    vae.post_quant_conv.requires_grad_(True)
    critic = Critic().to(args.device)
    learning = [p for p in vae.parameters() if p.requires_grad]
    return Learner(
        vae=vae,
        critic=critic,
        decoding=torch.optim.AdamW(learning, lr=args.lr, betas=(0.9, 0.99), weight_decay=0.0),
        judging=torch.optim.AdamW(critic.parameters(), lr=args.critic_lr, betas=(0.5, 0.9)),
        average=MovingAverage({"vae": vae}, decay=args.ema),
    )


def decode(vae: AutoencoderKL, pictures: Tensor, *, noise: float) -> Tensor:
    """`pictures` [B, 3, H, W] in -1..1 through the VAE and back, with up to `noise` standard
    deviations of noise on each one's latent."""
    with torch.no_grad(), mixed_precision(pictures.device):
        latents = vae.encode(pictures).latent_dist.mode()
    amount = noise * torch.rand(len(latents), 1, 1, 1, device=latents.device)
    with mixed_precision(pictures.device):
        noisy = latents + amount * torch.randn_like(latents)
        decoded: Tensor = vae.decoder(vae.post_quant_conv(noisy))
    return decoded.float()


def picture_gradient(
    critic: Critic, decoded: Tensor, pictures: Tensor, *, share: float
) -> tuple[Tensor, float]:
    """(gradient at `decoded`, reconstruction loss): of the loss, and of the critic's doubt scaled
    to `share` of its norm."""
    seen = decoded.detach().requires_grad_()
    loss = reconstruction_loss(seen, pictures)
    (towards_picture,) = torch.autograd.grad(loss, seen)
    if share == 0.0:
        return towards_picture, loss.item()
    with mixed_precision(pictures.device):
        doubt = -critic(seen).float().mean()
    (towards_truth,) = torch.autograd.grad(doubt, seen)
    scale = share * towards_picture.norm() / towards_truth.norm().clamp(min=1e-12)
    return towards_picture + scale * towards_truth, loss.item()


def critic_loss(critic: Critic, pictures: Tensor, decoded: Tensor) -> Tensor:
    """The hinge loss of telling `pictures` from `decoded`; 2 where it cannot."""
    with mixed_precision(pictures.device):
        true, false = critic(pictures).float(), critic(decoded.detach()).float()
    return F.relu(1.0 - true).mean() + F.relu(1.0 + false).mean()


def train_step(
    args: argparse.Namespace, learner: Learner, pictures: Tensor, *, share: float
) -> tuple[float, float]:
    """Moves decoder and critic once; returns (reconstruction loss, critic's loss)."""
    decoded = decode(learner.vae, pictures, noise=args.noise)
    gradient, loss = picture_gradient(learner.critic, decoded, pictures, share=share)
    learner.decoding.zero_grad(set_to_none=True)
    decoded.backward(gradient)  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(learner.learning, 1.0)
    learner.decoding.step()
    learner.average.update({"vae": learner.vae})
    doubt = critic_loss(learner.critic, pictures, decoded)
    learner.judging.zero_grad(set_to_none=True)
    doubt.backward()  # type: ignore[no-untyped-call]
    learner.judging.step()
    return loss, doubt.item()


def train(args: argparse.Namespace) -> None:
    """Trains until the budget is spent and saves the VAE to `<work>/vae`."""
    torch.manual_seed(args.seed)
    pictures = load_or_paint(args, np.random.default_rng(args.seed))
    held_out, pictures = pictures[:HELD_OUT], pictures[HELD_OUT:]
    learner = build_learner(args)
    budget, step = Budget(args.minutes, args.steps), 0
    if (args.work / CHECKPOINT).exists():
        step, budget.spent_s = load_checkpoint(args.work / CHECKPOINT, learner)
    rng = np.random.default_rng((args.seed, step))
    bar = tqdm(initial=step, unit="step", mininterval=10.0)
    while (used := budget.fraction(step)) < 1.0:
        learner.decoding.param_groups[0]["lr"] = learning_rate(args.lr, step=step, fraction=used)
        batch = draw_pictures(pictures, batch=args.batch, rng=rng)
        batch = batch.to(args.device, memory_format=torch.channels_last)
        share = args.share if step >= args.critic_alone else 0.0
        loss, doubt = train_step(args, learner, batch, share=share)
        step += 1
        bar.update()
        bar.set_postfix(loss=f"{loss:.4f}", critic=f"{doubt:.3f}", refresh=False)
        if step % args.save_every == 0:
            save(args, learner, held_out, step=step, spent_s=budget.elapsed_s())
    save(args, learner, held_out, step=step, spent_s=budget.elapsed_s())


def save(
    args: argparse.Namespace, learner: Learner, held_out: Tensor, *, step: int, spent_s: float
) -> None:
    """Writes the checkpoint, the averaged VAE in diffusers format and a sheet of originals and
    copies."""
    state: dict[str, Any] = {name: part.state_dict() for name, part in learner.parts.items()}
    state |= {"average": learner.average.weights, "updates": learner.average.updates}
    fresh = args.work / (CHECKPOINT + ".new")
    torch.save(state | {"step": step, "spent_s": spent_s}, fresh)
    fresh.replace(args.work / CHECKPOINT)
    shown = deepcopy(learner.vae)
    shown.load_state_dict(learner.average.weights["vae"])
    shown.save_pretrained(args.work / FOLDER)
    pairs = torch.cat([held_out[:32].float() / 255.0, reconstruct(shown, held_out[:32])])
    save_sheet(pairs, args.work / "decoder.png", columns=8)
    tqdm.write(f"step {step}: PSNR {psnr_db(shown, held_out):.2f} dB after {spent_s / 60:.1f} min")


def load_checkpoint(path: Path, learner: Learner) -> tuple[int, float]:
    """Puts everything back; returns (step, seconds trained so far)."""
    state = torch.load(path, weights_only=True, map_location=learner.vae.device)
    for name, part in learner.parts.items():
        part.load_state_dict(state[name])
    learner.average.weights, learner.average.updates = state["average"], state["updates"]
    return int(state["step"]), float(state["spent_s"])


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="the node_modules folder")
    parser.add_argument("--work", type=Path, required=True, help="where checkpoints are kept")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--size-px", type=int, default=256)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--critic-lr", type=float, default=3e-4)
    parser.add_argument("--critic-alone", type=int, default=200, help="steps that only it learns")
    parser.add_argument("--share", type=float, default=0.5, help="of the gradient that it gives")
    parser.add_argument("--noise", type=float, default=0.15, help="on latents, standard deviations")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--save-every", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    train(parse_arguments())
