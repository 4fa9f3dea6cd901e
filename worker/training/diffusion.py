"""The forward process: how a picture turns into noise, and what the denoiser is asked to say.

At time t in 0..999 a clean latent x0 is mixed with Gaussian noise e (DDPM, Ho et al. 2020):

    x_t = sqrt(a_t) * x0 + sqrt(1 - a_t) * e,        a_t = prod_{s <= t} (1 - beta_s)

with beta_s rising linearly from 0.0001 to 0.02, so that a_999 = 0.00004: nothing of the picture
is left where sampling begins, and the background colour is the model's own choice.

The denoiser sees x_t, t and the prompt, and predicts the velocity (Salimans & Ho 2022)

    v_t = sqrt(a_t) * e - sqrt(1 - a_t) * x0,

which asks for the noise where there is little of it and for the picture where there is little
picture. Its mean squared error is plain; how often each time is drawn stands in `train.py`
(`spread_times`). From v both are found again: x0 = sqrt(a_t) * x_t - sqrt(1 - a_t) * v_t.
"""

from typing import Final

import torch
from diffusers import DDIMScheduler
from torch import Tensor

TIMESTEPS: Final = 1000
BETA_START: Final = 0.0001
BETA_END: Final = 0.02


def signal_shares() -> Tensor:
    """a_t for every t: float64 of shape [1000], falling from nearly 1 to nearly 0."""
    betas = torch.linspace(BETA_START, BETA_END, TIMESTEPS, dtype=torch.float64)
    return torch.cumprod(1.0 - betas, dim=0)


def add_noise(clean: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """x_t for latents `clean` and `noise` [B, C, H, W] and `share` = a_t [B]."""
    a = share.view(-1, 1, 1, 1)
    return a.sqrt() * clean + (1.0 - a).sqrt() * noise


def velocity(clean: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """v_t, what the denoiser learns to predict; shapes as in `add_noise`."""
    a = share.view(-1, 1, 1, 1)
    return a.sqrt() * noise - (1.0 - a).sqrt() * clean


def build_scheduler() -> DDIMScheduler:
    """The sampler that ships with the model: DDIM over the same betas, predicting v.

    "trailing" starts at t = 999, where training saw pure noise.
    """
    return DDIMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # unused by "trailing"; the pipeline insists on it
    )
