"""How long a model takes to load from a single file, beside its folder.

It is one of random weights, a tenth as large as Stable Diffusion 1. The starter model will not do:
it has parts which the original layout does not know.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.apart import run_apart
from tests.bench.bench import Bench
from tests.bench.figures import Figure

RATIO = 1.1
TURNS = 7


def measure_loading(bench: Bench) -> Iterator[Figure]:
    """The ratio of both medians, in turns, in one process of its own."""
    yield from run_apart("tests.bench.loading", bench.folder / "loading", {})


def write_folder(folder: Path) -> Path:
    """A Stable Diffusion with a U-Net of a hundred million numbers."""
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    from worker.pipelines.tiny import TEXT_WIDTH, build_tiny_stable_diffusion

    path = build_tiny_stable_diffusion(folder / "whole")
    pipeline = StableDiffusionPipeline.from_pretrained(path)
    with torch.random.fork_rng(devices=[]):
        unet = UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(256, 512, 512, 512),
            layers_per_block=1,
            norm_num_groups=32,
            cross_attention_dim=TEXT_WIDTH,
        )
    pipeline.register_modules(unet=unet)
    pipeline.save_pretrained(path)
    return path


def write_single_file(whole: Path) -> Path:
    """The folder's weights in one file, with its configurations beside it."""
    from tests.pipelines.original_layout import write_original_file

    path = whole.with_suffix(".safetensors")
    write_original_file(whole, path)
    no_weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(whole, path.with_suffix(".config"), ignore=no_weights)
    return path


def seconds_of(path: Path) -> float:
    """Of one load."""
    from worker.config import EngineConfig
    from worker.engine.request import ModelSource
    from worker.pipelines.loader import load_model

    kind = "file" if path.is_file() else "folder"
    began = time.perf_counter()
    load_model(ModelSource("random", "sd", kind, str(path)), EngineConfig(device="cpu"))  # type: ignore[arg-type]
    return time.perf_counter() - began


def main() -> int:
    """Prints the figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        whole = write_folder(Path(folder))
        seconds: dict[Path, list[float]] = {whole: [], write_single_file(whole): []}
        for turn in range(TURNS + 1):
            for each in seconds:
                taken = seconds_of(each)
                if turn:  # the first reads the disk, and imports
                    seconds[each].append(taken)
    of_folder, of_file = (statistics.median(each) for each in seconds.values())
    note = f"{of_file * 1e3:.0f} ms over {of_folder * 1e3:.0f} ms, medians of {TURNS}"
    figure = {"name": "single_load_ratio", "measured": of_file / of_folder, "wanted": RATIO}
    print(json.dumps([figure | {"note": note}]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
