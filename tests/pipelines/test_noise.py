"""The noise of a request and the shares of it that samplers mix in are diffusers' own, bit for bit,
on whatever way they reach the device."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from tests.pipelines.drawing import known_warnings
from tests.pretend_cuda.device import PretendCuda
from tests.pretend_cuda.fixtures import pretend_cuda
from worker.pipelines.noise import Noise, draw_ahead, randn_tensor
from worker.pipelines.samplers import SAMPLERS, build_scheduler
from worker.pipelines.tiny import stable_diffusion_scheduler
from worker.pipelines.unwaiting import unwaiting

__all__ = ["pretend_cuda"]

SHAPE = (1, 4, 8, 8)
CPU = torch.device("cpu")
FORMATS = [torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture(autouse=True)
def _diffusers_with_its_warnings() -> Iterator[None]:
    with known_warnings():
        yield


def drawn_plainly(seed: int, count: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=generator, dtype=dtype) for _ in range(count)]


def draw(noise: Noise, dtype: torch.dtype, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return randn_tensor(shape, noise, CPU, dtype)


def assert_equal(tensors: list[torch.Tensor], others: list[torch.Tensor]) -> None:
    assert all(torch.equal(one, other) for one, other in zip(tensors, others, strict=True))


@pytest.mark.parametrize("dtype", FORMATS)
def test_what_is_drawn_ahead_for_many_is_what_each_would_have_drawn(dtype: torch.dtype) -> None:
    people = [Noise(seed) for seed in range(3)]
    drawn: list[list[torch.Tensor]] = [[draw(noise, dtype)] for noise in people]
    for _ in range(3):
        draw_ahead(people)
        for noise, own in zip(people, drawn, strict=True):
            own.append(draw(noise, dtype))
    for seed, own in enumerate(drawn):
        assert_equal(own, drawn_plainly(seed, 4, dtype))


def test_what_was_drawn_ahead_is_taken_back_when_something_else_is_asked_for() -> None:
    noise, plain = Noise(5), torch.Generator().manual_seed(5)
    drawn = [draw(noise, torch.float16)]
    draw_ahead([noise])
    drawn.append(draw(noise, torch.float32, (3, 5)))
    draw_ahead([noise])
    noise.take_back()
    drawn.append(torch.randn(7, generator=noise))
    expected = [torch.randn(SHAPE, generator=plain, dtype=torch.float16)]
    expected += [torch.randn(3, 5, generator=plain), torch.randn(7, generator=plain)]
    assert_equal(drawn, expected)


def test_nothing_is_drawn_ahead_for_samplers_that_draw_nothing() -> None:
    noise = Noise(5)
    before = noise.get_state()
    draw_ahead([noise])
    assert torch.equal(noise.get_state(), before)


def test_what_nobody_asked_for_again_is_drawn_ahead_once() -> None:
    noise = Noise(5)
    draw(noise, torch.float32)
    draw_ahead([noise])
    draw_ahead([noise])
    noise.take_back()
    assert_equal([draw(noise, torch.float32)], drawn_plainly(5, 2, torch.float32)[1:])


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_gets_as_much_noise_as_diffusers_gives_it(
    sampler: str, dtype: torch.dtype
) -> None:
    ours, original = _both(sampler)
    image, noise = drawn_plainly(1, 2, dtype)
    for time in ours.timesteps[2:]:
        at = torch.tensor([time])
        mixed = (ours.add_noise(image, noise, at), original.add_noise(image, noise, at))
        assert torch.equal(*mixed)
        for scheduler in (ours, original):
            scheduler._step_index = (getattr(scheduler, "_step_index", None) or 2) + 1


def _both(sampler: str) -> list[Any]:
    """The worker's own scheduler and diffusers', as they begin from an image."""
    ours = build_scheduler(stable_diffusion_scheduler(), sampler, steps=6)
    theirs: Any = SAMPLERS[sampler].scheduler_class
    original = theirs.from_config(ours.config)
    for scheduler in (ours, original):
        scheduler.set_timesteps(6)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(2)
    return [ours, original]


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_flow_gets_as_much_noise_as_diffusers_gives_it(dtype: torch.dtype) -> None:
    image, noise = drawn_plainly(1, 2, dtype)
    made = []
    for scheduler_class in (
        unwaiting(FlowMatchEulerDiscreteScheduler),
        FlowMatchEulerDiscreteScheduler,
    ):
        scheduler: Any = scheduler_class(shift=3.0)
        scheduler.set_timesteps(6)
        made.append(scheduler.scale_noise(image, scheduler.timesteps[2:3], noise))
    assert torch.equal(*made)


def test_unipc_steps_on_a_device_as_diffusers_steps(pretend_cuda: PretendCuda) -> None:
    """Its coefficients come out of sigmas that lie on the device."""
    latents, *answers = drawn_plainly(1, 7, torch.float32)
    results = []
    for scheduler_class, device in (
        (UniPCMultistepScheduler, "cpu"),
        (unwaiting(UniPCMultistepScheduler), "cuda"),
    ):
        scheduler: Any = scheduler_class(solver_order=3)
        scheduler.set_timesteps(6)
        sample = latents.to(device)
        moved = [answer.to(device) for answer in answers]
        with pretend_cuda.counted() as waits:
            for time, answer in zip(scheduler.timesteps, moved, strict=True):
                sample = scheduler.step(answer, time, sample, return_dict=False)[0]
        assert waits == []
        results.append(sample.cpu())
    assert torch.equal(*results)
