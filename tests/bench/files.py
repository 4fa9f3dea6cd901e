"""How long a thousand model files take to be told by their headers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.recognition import names
from tests.recognition.headers import Shapes, write_header
from tests.trial import PROJECT, TrialFailedError, own_environment

FILES = 1000
SCAN_S = 10.0
PATIENCE_S = 300.0
# As many tensors as real files of these have.
TENSORS = {"sdxl": 2515, "sd1": 1131, "lora": 2166}


def measure_files(bench: Bench) -> Iterator[Figure]:
    """From the command to its last line, half of the files checkpoints, half LoRAs."""
    folder = bench.folder / "files"
    for number in range(FILES):
        kind = ("sdxl", "lora", "sd1", "lora")[number % 4]
        metadata = {"modelspec.title": f"{kind} {number}"}
        write_header(folder / f"{kind}-{number}.safetensors", shapes(kind), metadata=metadata)
    seconds, kinds = inspect(folder)
    if kinds != {"checkpoint": FILES // 2, "lora": FILES // 2}:
        raise TrialFailedError(f"the files were taken for {kinds}")
    note = f"{FILES} files, half of them checkpoints"
    yield Figure("scan_1000_s", seconds, SCAN_S, note=note)


def shapes(kind: str) -> Shapes:
    """Real names, and more of that length up to the real number."""
    table: dict[str, Shapes] = {
        "sdxl": names.sdxl(),
        "sd1": names.SD1,
        "lora": names.KOHYA_SDXL,
    }
    known = table[kind]
    many = (
        f"lora_unet_output_blocks_{n}_1_transformer_blocks_0_ff_net_0_proj.lora_down.weight"
        if kind == "lora"
        else f"model.diffusion_model.output_blocks.{n}.1.transformer_blocks.0.norm1.weight"
        for n in range(TENSORS[kind] - len(known))
    )
    return {**known, **dict.fromkeys(many, (32, 64))}


def inspect(folder: Path) -> tuple[float, dict[str, int]]:
    """(seconds, kind -> how many) of `models inspect`. Raises TrialFailedError."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "manage.py", "models", "inspect", str(folder), "--json"],
        cwd=PROJECT,
        env={**os.environ, **own_environment(folder, {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise TrialFailedError(f"models inspect failed: {done.stderr[-2000:]}")
    kinds: dict[str, int] = {}
    for line in done.stdout.splitlines():
        kind = json.loads(line)["kind"]
        kinds[kind] = kinds.get(kind, 0) + 1
    return seconds, kinds
