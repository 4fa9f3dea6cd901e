"""Sections: whether the device draws the same bits, and where the host waits for it."""

import warnings
from pathlib import Path
from typing import Any

import torch

from tests.device.drawing import request_for
from tests.device.machine import TINY, Machine
from tests.pipelines.drawing import begin, known_warnings, step, step_all
from worker.pipelines.graphs import Graphs
from worker.pipelines.loader import lay_out_for_convolutions
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.samplers import samplers_for

SAMPLERS = ("euler", "ddim", "dpmpp_2m", "euler_a", "unipc")
STEPS = 8


def waits(machine: Machine) -> dict[str, Any]:
    """Waits of the host by sampler: at the beginning, a step, a preview, at the end.

    On CUDA as torch's own debug mode tells them, on the pretend device as that counts them.
    """
    runner = machine.runner(preview_every=1)
    model = machine.tiny("sd")
    runner.make_resident(model.source)
    found = {}
    for sampler in SAMPLERS:
        request = request_for(model, sampler=sampler, steps=STEPS)
        drawn, begun = _counted(machine, lambda request=request: begin(runner, request))
        _, stepped = _counted(machine, lambda drawn=drawn: step_all(runner, [drawn]))
        show, previewed = _counted(machine, lambda drawn=drawn: runner.start_preview(drawn))
        show()
        _, finished = _counted(machine, lambda drawn=drawn: runner.finish(drawn))
        found[sampler] = {
            "begin": begun,
            "step": stepped / STEPS,
            "preview": previewed,
            "finish": finished,
        }
    return {"waits": found}


def _counted(machine: Machine, work: Any) -> tuple[Any, int]:
    if machine.gpu is not None:
        with machine.gpu.counted() as seen:
            made = work()
        return made, len(seen)
    if not machine.is_real:
        return work(), 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            made = work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return made, sum("synchronizing" in str(warning.message) for warning in told)


def bits(machine: Machine) -> dict[str, Any]:
    """Exact requests against diffusers' pipelines, alone and beside seven others; graphs against
    the call as it is. True if all bits are equal."""
    dtypes = ("float16", "bfloat16") if machine.is_real else ("float32",)
    return {
        f"{family} {dtype}": _bits_of(machine, family, dtype)
        for family in TINY
        for dtype in dtypes
        if not (dtype == "float16" and family in {"sd3", "flux"})
    }


def _bits_of(machine: Machine, family: str, dtype: str) -> dict[str, Any]:
    runner = machine.runner(dtype=dtype)
    runner._graphs = Graphs(machine.device, hot_calls=10**9)
    model = machine.tiny(family)
    exact = request_for(model, exact=True)
    alone = begin(runner, exact)
    step_all(runner, [alone])
    others = [begin(runner, request_for(model, seed=seed)) for seed in range(7)]
    again = begin(runner, request_for(model, exact=True))
    while again.done < again.calls:  # as the engine does: calls of its own between the others'
        step(runner, [again])
        step(runner, others)
    found = {
        "alone and beside seven others": torch.equal(alone.latents, again.latents),
        "as it is and from a graph": _is_replayed_alike(machine, runner, model),
    }
    if machine.gpu is None:  # diffusers' own pipelines move weights as it does not bear
        found["engine and diffusers"] = _is_as_diffusers(machine, runner, exact, alone)
    return found


def _is_replayed_alike(machine: Machine, runner: DiffusersRunner, model: Any) -> bool | None:
    if machine.device.type != "cuda":
        return None
    plain = begin(runner, request_for(model))
    step_all(runner, [plain])
    runner._graphs = Graphs(machine.device, hot_calls=1)
    first, second = begin(runner, request_for(model)), begin(runner, request_for(model))
    step_all(runner, [first])
    step_all(runner, [second])
    is_replayed = runner.finish(second).fingerprint["graphs"] == "yes"
    return is_replayed and torch.equal(second.latents, plain.latents)


def _is_as_diffusers(machine: Machine, runner: DiffusersRunner, request: Any, drawn: Any) -> bool:
    import diffusers

    model = runner._models.resident(request.model)
    with known_warnings():
        pipe = diffusers.DiffusionPipeline.from_pretrained(
            Path(request.model.location), dtype=model.dtype, local_files_only=True
        ).to(machine.device)
    pipe.set_progress_bar_config(disable=True)
    if machine.device.type == "cuda":
        lay_out_for_convolutions(pipe)
    sampler = samplers_for(pipe.scheduler)[request.sampler]
    pipe.scheduler = sampler.scheduler_class.from_config(pipe.scheduler.config, **sampler.options)
    with known_warnings():
        picture = pipe(
            request.prompt,
            negative_prompt=request.negative_prompt or None,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(request.seed),
            width=request.width_px,
            height=request.height_px,
        ).images[0]
    return bool(picture.tobytes() == runner.finish(drawn).pixels)
