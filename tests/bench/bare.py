"""The bare `StableDiffusionPipeline` that the service is compared with, in a process of its own.

`python -m tests.bench.bare MODEL_DIR THREADS NICENESS`: for each JSON line of keyword arguments
(with `seed`) it prints the seconds that the pipeline's call took, decoding included.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Request = Mapping[str, Any]


class BarePipeline:
    """The process, seen from the bench."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def draw(self, request: Request) -> float:
        """The seconds that the pipeline needs for the request."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(dict(request)), file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@contextmanager
def bare_pipeline(model: Path, *, threads: int, niceness: int) -> Iterator[BarePipeline]:
    """The pipeline, loaded, for the length of a `with` block."""
    command = [sys.executable, "-m", __name__, str(model), str(threads), str(niceness)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield BarePipeline(process)
        assert process.stdin is not None
        process.stdin.close()


def main(model: str, threads: str, niceness: str) -> None:
    """Answers each line of the standard input until it ends."""
    import torch
    from diffusers import StableDiffusionPipeline

    os.nice(int(niceness))
    torch.set_num_threads(int(threads))
    pipeline = StableDiffusionPipeline.from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    for line in sys.stdin:
        request = json.loads(line)
        generator = torch.Generator("cpu").manual_seed(request.pop("seed"))
        started = time.perf_counter()
        pipeline(**request, generator=generator)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
