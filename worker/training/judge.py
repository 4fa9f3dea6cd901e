"""The judge: a small classifier that says which concept and which style a picture shows.

It never sees the generator. It learns from the icons themselves, moved, scaled, blurred and noised
on backgrounds of any colour, and is tested on pictures it was not trained on: the prompts' own
layout and colours, passed through the VAE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from worker.training.concepts import COLOURS, STYLES, all_icons
from worker.training.icons import IconLibrary

INPUT_PX: Final = 64


class Judge(nn.Module):
    """Pictures [B, 3, 64, 64] in 0..1 to logits: (concepts [B, N], styles [B, 3])."""

    def __init__(self, concepts: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in (32, 64, 128, 192):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            before = after
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2))
        self.concept = nn.Linear(192 * 16, concepts)
        self.style = nn.Linear(192 * 16, len(STYLES))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of concept and of style."""
        features = self.body(pictures)
        return self.concept(features), self.style(features)


@dataclass(frozen=True)
class Example:
    """A picture, float [64, 64, 3] in 0..1, with the index of its concept and of its style."""

    picture: NDArray[np.float32]
    concept: int
    style: int


def draw_example(icons: IconLibrary, rng: Generator) -> Example:
    """One icon somewhere near the middle on a background of any colour."""
    names = all_icons()
    concept, style = int(rng.integers(len(names))), int(rng.integers(len(STYLES)))
    side = int(rng.integers(44, 63))
    icon = icons.render(STYLES[style].icon_set, names[concept], side)
    colour = np.asarray(COLOURS[int(rng.integers(len(COLOURS)))].rgb) / 255.0
    if rng.random() < 0.5:
        colour = rng.random(3)
    canvas = np.empty((INPUT_PX, INPUT_PX, 3), dtype=np.float32)
    canvas[:] = colour
    reach = INPUT_PX - side
    top, left = (int(v) for v in rng.integers(reach + 1, size=2))
    window = canvas[top : top + side, left : left + side]
    window *= 1.0 - icon[..., 3:]
    window += icon[..., :3]
    return Example(canvas, concept, style)


def disturb(pictures: Tensor, rng: Generator) -> Tensor:
    """Blurred and noised copies: generated pictures are never as crisp as icons."""
    if rng.random() < 0.7:
        small = int(rng.integers(16, INPUT_PX))
        pictures = F.interpolate(pictures, size=small, mode="bilinear", antialias=True)
        pictures = F.interpolate(pictures, size=INPUT_PX, mode="bilinear")
    noise = float(rng.uniform(0.0, 0.08))
    return pictures + noise * torch.randn_like(pictures)


def train_judge(
    icons: IconLibrary, *, steps: int, batch: int = 64, lr: float = 2e-3, seed: int = 0
) -> Judge:
    """A judge trained for `steps` batches; the same seed trains the same one."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    judge = Judge(len(all_icons()))
    optimizer = torch.optim.AdamW(judge.parameters(), lr=lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in tqdm(range(steps), desc="judge", mininterval=10.0):
        examples = [draw_example(icons, rng) for _ in range(batch)]
        pictures = torch.from_numpy(np.stack([e.picture for e in examples])).permute(0, 3, 1, 2)
        concepts, styles = judge(disturb(pictures, rng))
        loss = F.cross_entropy(
            concepts, torch.tensor([e.concept for e in examples])
        ) + 0.5 * F.cross_entropy(styles, torch.tensor([e.style for e in examples]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    judge.eval()
    return judge


def load_or_train_judge(path: Path, icons: IconLibrary, *, steps: int) -> Judge:
    """The judge stored at `path`, trained and stored first where there is none."""
    if not path.exists():
        torch.save(train_judge(icons, steps=steps).state_dict(), path)
    judge = Judge(len(all_icons()))
    judge.load_state_dict(torch.load(path, weights_only=True))
    judge.eval()
    return judge


@torch.no_grad()
def judge_pictures(judge: Judge, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """For pictures [B, 3, H, W] in 0..1: concepts from likeliest to least [B, N], styles [B]."""
    small = F.interpolate(pictures, size=INPUT_PX, mode="bilinear", antialias=True)
    concepts, styles = judge(small)
    return concepts.argsort(dim=1, descending=True), styles.argmax(dim=1)


def background_of(picture: Tensor) -> str:
    """The colour of `picture`'s rim, [3, H, W] in 0..1: the nearest of our colours by median."""
    rim = max(1, picture.shape[-1] // 32)
    edges = [picture[:, :rim], picture[:, -rim:], picture[:, :, :rim], picture[:, :, -rim:]]
    median = torch.cat([edge.flatten(1) for edge in edges], dim=1).median(dim=1).values
    palette = torch.tensor([colour.rgb for colour in COLOURS]) / 255.0
    return COLOURS[int((palette - median).square().sum(dim=1).argmin())].slug


def share_of(hits: Sequence[bool]) -> float:
    """The share of true values; raises `ValueError` where there are none to count."""
    if not hits:
        raise ValueError("There is nothing to take a share of.")
    return sum(hits) / len(hits)
