"""The judge: a small classifier that says which thing, style and colour a picture shows.

It never sees the generator. It learns from the icons themselves, in every pose of the recipe,
blurred and noised on backgrounds of any colour, and is tested on pictures it was not trained on:
the prompts' own, passed through the VAE.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.random import Generator
from torch import Tensor, nn
from tqdm import tqdm

from worker.training.concepts import COLOURS, STYLES, THING_COLOURS, Colour
from worker.training.icons import IconLibrary
from worker.training.scenes import Scene, Stage
from worker.training.things import all_things, thing_number

INPUT_PX: Final = 64
ICON_PX: Final = 96
WIDTHS: Final = (48, 96, 160, 192)
# The class of a thing in its drawing's own colours; before it come those of `THING_COLOURS`.
OWN_COLOUR: Final = len(THING_COLOURS)


@dataclass(frozen=True)
class Verdict:
    """What the judge says of B pictures: `things` from likeliest to least [B, N], `styles` [B],
    `colours` [B], and the `features` [B, F] that it says so by."""

    things: Tensor
    styles: Tensor
    colours: Tensor
    features: Tensor


class Judge(nn.Module):
    """Pictures [B, 3, 64, 64] in 0..1 to logits (things [B, N], styles [B, S], colours [B, C])."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in WIDTHS:
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            before = after
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.dropout = nn.Dropout(0.2)
        width = WIDTHS[-1] * (INPUT_PX // 16) ** 2
        self.thing = nn.Linear(width, len(all_things()))
        self.style = nn.Linear(width, len(STYLES))
        self.colour = nn.Linear(width, len(THING_COLOURS) + 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of thing, style and colour."""
        features = self.dropout(self.body(pictures))
        return self.thing(features), self.style(features), self.colour(features)


def draw_example(stage: Stage, rng: Generator) -> Scene:
    """One thing somewhere near the middle on a background of any colour."""
    style = STYLES[int(rng.integers(len(STYLES)))]
    scene = stage.draw(rng, layout="large" if rng.random() < 0.2 else "single", style=style)
    if rng.random() < 0.5:
        red, green, blue = (int(value) for value in rng.integers(256, size=3))
        scene = replace(scene, background=Colour("any", (red, green, blue), {}))
    return scene


def labels_of(scenes: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor]:
    """The classes of the first thing of each scene: (things, styles, colours), int64 [B]."""
    styles = [style.slug for style in STYLES]
    colours = [colour.slug for colour in THING_COLOURS]
    return (
        torch.tensor([thing_number(scene.things[0]) for scene in scenes]),
        torch.tensor([styles.index(scene.style.slug) for scene in scenes]),
        torch.tensor(
            [
                colours.index(scene.poses[0].colour) if scene.poses[0].colour else OWN_COLOUR
                for scene in scenes
            ]
        ),
    )


def disturb(pictures: Tensor, rng: Generator) -> Tensor:
    """Blurred and noised copies: generated pictures are never as crisp as icons."""
    if rng.random() < 0.6:
        small = int(rng.integers(20, INPUT_PX))
        pictures = F.interpolate(pictures, size=small, mode="bilinear", antialias=True)
        pictures = F.interpolate(pictures, size=INPUT_PX, mode="bilinear")
    noise = float(rng.uniform(0.0, 0.06))
    return pictures + noise * torch.randn_like(pictures)


def train_judge(
    icons: IconLibrary, *, steps: int, batch: int = 64, lr: float = 2e-3, seed: int = 0
) -> Judge:
    """A judge trained for `steps` batches; the same seed trains the same one."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    stage = Stage(icons, icon_px=ICON_PX)
    judge = Judge()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    bar = tqdm(range(steps), desc="judge", mininterval=10.0)
    for _ in bar:
        scenes = [draw_example(stage, rng) for _ in range(batch)]
        pixels = np.stack([stage.paint(scene, INPUT_PX) for scene in scenes])
        pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255.0
        losses = [
            F.cross_entropy(said, true)
            for said, true in zip(judge(disturb(pictures, rng)), labels_of(scenes), strict=True)
        ]
        loss = losses[0] + 0.5 * losses[1] + 0.5 * losses[2]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    judge.eval()
    return judge


def load_or_train_judge(path: Path, icons: IconLibrary, *, steps: int) -> Judge:
    """The judge stored at `path`, trained and stored first where there is none."""
    if not path.exists():
        torch.save(train_judge(icons, steps=steps).state_dict(), path)
    judge = Judge()
    judge.load_state_dict(torch.load(path, weights_only=True))
    judge.eval()
    return judge


@torch.no_grad()
def judge_pictures(judge: Judge, pictures: Tensor, *, batch: int = 64) -> Verdict:
    """The verdict on pictures [B, 3, H, W] in 0..1."""
    features = []
    for part in torch.split(pictures, batch):
        small = F.interpolate(part, size=INPUT_PX, mode="bilinear", antialias=True)
        features.append(judge.body(small))
    seen = torch.cat(features)
    return Verdict(
        things=judge.thing(seen).argsort(dim=1, descending=True),
        styles=judge.style(seen).argmax(dim=1),
        colours=judge.colour(seen).argmax(dim=1),
        features=seen,
    )


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
