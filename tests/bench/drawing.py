"""What the service adds to the bare pipeline, and how long a killed worker's image takes."""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.bare import bare_pipeline
from tests.bench.bench import Bench
from tests.bench.connection import Connection, News, read_row
from tests.bench.figures import Figure
from tests.trial import PROJECT, Trial, TrialFailedError

REPETITIONS = 15
WARM_UP = 3
OVERHEAD_MS = 150.0
TAKEOVER_S = 90.0
WORKER_NICENESS = 5
SECOND_WORKER_START_S = 60.0
FIELDS = {
    "quoted_each_ucr": "200000",
    "prompt": "a fox at dusk, storybook illustration",
    "negative_prompt": "people, text",
    "width": "128",
    "height": "128",
    "steps": "20",
    "guidance_scale": "5",
    "sampler": "ddim",
    "model": "tiny",
}
LONG = {**FIELDS, "steps": "100"}


def measure_drawing(bench: Bench) -> Iterator[Figure]:
    """What the service adds to a drawing, and how long a killed worker's image takes."""
    with bench.running("drawing", {"DARKROOM_STARTING_CREDITS": "640"}) as (trial, model):
        yield measure_overhead(trial, model, FIELDS, threads=bench.threads)
        yield measure_takeover(trial, LONG)
        print(trial.manage("check_credits").strip(), flush=True)


def bare_request(fields: dict[str, str], *, seed: int) -> dict[str, Any]:
    """The arguments of `StableDiffusionPipeline` for the same image."""
    return {
        "prompt": fields["prompt"],
        "negative_prompt": fields["negative_prompt"],
        "width": int(fields["width"]),
        "height": int(fields["height"]),
        "num_inference_steps": int(fields["steps"]),
        "guidance_scale": float(fields["guidance_scale"]),
        "seed": seed,
    }


def measure_overhead(trial: Trial, model: Path, fields: dict[str, str], *, threads: int) -> Figure:
    """From sending the request to the news of the stored image, minus the seconds of the bare
    pipeline: one after the other, again and again, and the median of the differences."""
    connection = Connection(trial, trial.sign_up("patient"))
    news = News(trial)
    pairs = []
    with bare_pipeline(model, threads=threads, niceness=WORKER_NICENESS) as bare:
        for seed in range(WARM_UP + REPETITIONS):
            begun = time.monotonic()
            _generation, image_id = connection.request_image({**fields, "seed": str(seed)})
            service_s = news.wait_until_stored(image_id) - begun
            pairs.append((service_s, bare.draw(bare_request(fields, seed=seed))))
    news.close()
    kept = pairs[WARM_UP:]
    service_ms, bare_ms = (1000 * statistics.median(column) for column in zip(*kept, strict=True))
    return Figure(
        "overhead_ms",
        1000 * statistics.median(service_s - bare_s for service_s, bare_s in kept),
        OVERHEAD_MS,
        note=f"median of {REPETITIONS} pairs: service {service_ms:.0f}, pipeline {bare_ms:.0f},"
        f" {threads} threads each",
    )


def measure_takeover(trial: Trial, fields: dict[str, str]) -> Figure:
    """From `kill -9` of the worker in mid image to the news that another one stored it."""
    connection = Connection(trial, trial.sign_up("unlucky"))
    news = News(trial)
    with second_worker(trial):
        _generation, image_id = connection.request_image(fields)
        news.wait_until_drawing(image_id)
        first, _attempt = worker_of(trial, image_id)
        os.kill(int(first.rpartition("-")[2]), signal.SIGKILL)
        killed = time.monotonic()
        stored = news.wait_until_stored(image_id, timeout_s=2 * TAKEOVER_S)
        second, attempt = worker_of(trial, image_id)
    news.close()
    if first == second or attempt != 2:
        raise TrialFailedError(f"{second} stored the image on attempt {attempt}, after {first}")
    return Figure(
        "takeover_s", stored - killed, TAKEOVER_S, note="one kill, default lease, second worker up"
    )


@contextmanager
def second_worker(trial: Trial) -> Iterator[None]:
    """Another worker on the same broker and database, listening for the length of the block."""
    words = ["celery", "-A", "webapp.celery", "--quiet", "worker", "-I", "worker.tasks"]
    options = ["--pool=threads", "--concurrency=4", "-n", "second@%h", "--without-gossip"]
    with (trial.folder / "second.log").open("wb") as log:
        worker = subprocess.Popen(
            ["nice", f"-n{WORKER_NICENESS}", sys.executable, "-m", *words, *options],
            cwd=PROJECT,
            env=trial.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_workers(trial, 2)
        yield
    finally:
        worker.terminate()
        worker.wait(SECOND_WORKER_START_S)


def wait_for_workers(trial: Trial, wanted: int) -> None:
    """Returns when that many workers have beaten; raises TrialFailedError otherwise."""
    news = News(trial)
    deadline = time.monotonic() + SECOND_WORKER_START_S
    while len(news.client.keys("darkroom:worker:*")) < wanted:
        if time.monotonic() > deadline:
            raise TrialFailedError(f"there are no {wanted} workers")
        time.sleep(0.2)
    news.close()


def worker_of(trial: Trial, image_id: str) -> tuple[str, int]:
    """(worker, attempt) of the image as the database has them."""
    query = "SELECT worker, attempt FROM generation_image WHERE id = %s"
    worker, attempt = read_row(trial, query, image_id)
    return str(worker), int(attempt)
