"""Puts the starter model together as it ships: averaged weights, the latest decoder, half floats,
and what it knows (`vocabulary.py`).

python -m worker.training.export --packages node_modules --work DIR --out DIR
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from worker.training.icons import IconLibrary
from worker.training.models import save_pipeline
from worker.training.scenes import Stage
from worker.training.vocabulary import write_vocabulary


def export(*, work: Path, out: Path, packages: Path) -> int:
    """Writes the pipeline of `<work>` to `out`, replacing it; returns its size in bytes."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        work / "pipeline", safety_checker=None, use_safetensors=True, local_files_only=True
    )
    vae = AutoencoderKL.from_pretrained(work / "vae", use_safetensors=True)
    trained_with = pipeline.vae.config.scaling_factor
    if vae.config.scaling_factor != trained_with:
        raise ValueError(
            f"The VAE in {work / 'vae'} scales latents by {vae.config.scaling_factor}, "
            f"but the denoiser learned them at {trained_with}: train the denoiser again."
        )
    shutil.rmtree(out, ignore_errors=True)
    save_pipeline(
        out,
        tokenizer=pipeline.tokenizer,
        text_encoder=pipeline.text_encoder,
        unet=pipeline.unet,
        vae=vae,
        dtype=torch.float16,
    )
    compute_in_float32(out / "text_encoder" / "config.json")
    for part in ("unet", "vae"):
        forget_folder(out / part / "config.json")
    stage = Stage(IconLibrary(packages))
    write_vocabulary(out, stage, packages, size_px=vae.config.sample_size)
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def compute_in_float32(config: Path) -> None:
    """Names float32 as the dtype of the text encoder described by `config`.

    A loader that names no dtype makes U-Net and VAE float32 whatever is stored, but takes the text
    encoder's from its file; half floats there and full ones elsewhere do not multiply.
    """
    described = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps(described | {"dtype": "float32"}, indent=2) + "\n", "utf-8")


def forget_folder(config: Path) -> None:
    """Takes the folder that the part was loaded from out of `config`: it is nobody else's."""
    described = json.loads(config.read_text("utf-8"))
    described.pop("_name_or_path", None)
    config.write_text(json.dumps(described, indent=2) + "\n", "utf-8")


def main() -> None:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="the node_modules folder")
    parser.add_argument("--work", type=Path, required=True, help="where training left its results")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    size = export(work=args.work, out=args.out, packages=args.packages)
    print(f"{size / 1e6:.1f} MB in {args.out}")


if __name__ == "__main__":
    main()
