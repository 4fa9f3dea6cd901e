"""The whole recipe in one command, from icons to the folder that ships; resumable at any moment.

    python -m worker.training.recipe --packages node_modules --work run --out pipeline --minutes 600

`--minutes` is for all of it, divided as `SHARES` says; painting and encoding come on top. With a
GPU, `--device cuda` and a quarter of an hour do more than a day of a processor: paint first where
there are cores (`worker.training.latents`), and carry `--work` there.
"""

import argparse
from pathlib import Path
from typing import Final

from worker.training import export, latents, train, train_decoder, train_vae

# Of the minutes: pictures to latents and back, prompts to latents, and the decoder once more.
SHARES: Final = {"vae": 0.2, "denoiser": 0.7, "decoder": 0.1}


def run(args: argparse.Namespace) -> None:
    """Every stage in turn; each goes on where an earlier run of it ended."""
    places = ["--packages", str(args.packages), "--work", str(args.work)]
    device = ["--device", args.device]
    grown = ["--grow", str(args.start / "vae")] if args.start else []
    started = ["--start", str(args.start)] if args.start else []
    args.work.mkdir(parents=True, exist_ok=True)
    train_vae.train(train_vae.parse_arguments([*places, *device, *grown, *_minutes(args, "vae")]))
    latents.build(latents.parse_arguments([*places, *device, "--chunks", str(args.chunks)]))
    train.train(train.parse_arguments([*places, *device, *started, *_minutes(args, "denoiser")]))
    train_decoder.train(
        train_decoder.parse_arguments([*places, *device, *_minutes(args, "decoder")])
    )
    export.export(work=args.work, out=args.out, packages=args.packages)


def _minutes(args: argparse.Namespace, stage: str) -> list[str]:
    return ["--minutes", str(args.minutes * SHARES[stage])]


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="the node_modules folder")
    parser.add_argument("--work", type=Path, required=True, help="where checkpoints are kept")
    parser.add_argument("--out", type=Path, required=True, help="the folder that ships")
    parser.add_argument("--start", type=Path, help="a pipeline for half the side to begin with")
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run(parse_arguments())
