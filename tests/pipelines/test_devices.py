"""A worker that can't have its device says why; GPUs and drivers are told by fakes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from worker.config import EngineConfig
from worker.engine.errors import EngineError
from worker.pipelines import devices
from worker.pipelines.devices import (
    check_device,
    choose_device,
    describe_device,
    driver_version,
    has_nvidia_files,
)
from worker.pipelines.runner import ADAPTERS, DiffusersRunner

MODULE = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Wed Jan 10 21:13:18 UTC 2026\n"
OPEN_MODULE = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build\nGCC version: 12\n"
)
# What torch 2.13 for CUDA 13.0 is built for.
BUILT = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


class Machine:
    """What torch and the system say of a GPU."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.patch = patch
        self.dev = folder / "dev"
        self.dev.mkdir()
        (self.dev / "null").touch()
        self.version = folder / "version"
        patch.setattr(devices, "DRIVER_VERSION", self.version)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(torch.backends.mps, "is_available", lambda: False)

    def plug_in(self, *, driver: str = "580.65.06", module: str = MODULE) -> None:
        """A GPU with its driver: files and a version."""
        for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
            (self.dev / name).touch()
        self.version.write_text(module.format(driver))

    def install(self, *, cuda: str | None, words: str = "") -> None:
        """A build of torch, and what it raises when CUDA is to begin."""

        def begin() -> None:
            raise RuntimeError(words)

        self.patch.setattr(torch, "__version__", "2.13.0" if cuda else "2.13.0+cpu")
        self.patch.setattr(torch.version, "cuda", cuda)
        self.patch.setattr(torch.cuda, "init", begin)

    def work(self, *, name: str = "NVIDIA GeForce RTX 3060", capability: Any = (8, 6)) -> None:
        """A GPU that torch finds."""
        self.install(cuda="13.0")
        answers: dict[str, Callable[..., Any]] = {
            "is_available": lambda: True,
            "device_count": lambda: 2,
            "get_device_name": lambda _device=None: name,
            "get_device_capability": lambda _device=None: capability,
            "get_arch_list": lambda: BUILT,
        }
        for question, answer in answers.items():
            self.patch.setattr(torch.cuda, question, answer)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def refusal(machine: Machine, device: str = "auto") -> str:
    with pytest.raises(EngineError) as refused:
        check_device(EngineConfig(device=device), device_files=machine.dev)
    assert refused.value.detail == ""
    return refused.value.sentence


def test_without_a_gpu_auto_is_the_cpu(machine: Machine) -> None:
    assert check_device(EngineConfig(), device_files=machine.dev) == torch.device("cpu")


@pytest.mark.parametrize("module", [MODULE, OPEN_MODULE])
def test_a_driver_too_old_for_this_torch_is_told_with_its_numbers(
    machine: Machine, module: str
) -> None:
    machine.plug_in(driver="535.183.01", module=module)
    machine.install(cuda="13.0", words="The NVIDIA driver on your system is too old")
    assert refusal(machine) == (
        "There is an NVIDIA GPU, but its driver, 535.183.01, is too old: torch 2.13.0 is built for"
        " CUDA 13.0, which needs driver 580 or newer. Update the driver, or install a torch for an"
        ' older CUDA (README, "Add a GPU worker"). If the CPU is meant, set DARKROOM_DEVICE=cpu.'
    )
    assert refusal(machine, "cuda").startswith("DARKROOM_DEVICE is cuda, but its driver, 535.183")


def test_a_driver_that_an_older_cuda_needs_is_new_enough_for_it(machine: Machine) -> None:
    machine.plug_in(driver="535.183.01")
    machine.install(cuda="12.6", words="CUDA unknown error - this may be due to an environment")
    assert refusal(machine).startswith(
        "There is an NVIDIA GPU, but torch finds no CUDA device: CUDA unknown error - this may be"
    )


def test_a_torch_without_cuda_beside_a_gpu_does_not_draw_on_the_cpu_in_silence(
    machine: Machine,
) -> None:
    machine.plug_in()
    machine.install(cuda=None)
    assert refusal(machine) == (
        "There is an NVIDIA GPU, but this torch (2.13.0+cpu) is built without CUDA: install another"
        ' build (README, "Add a GPU worker"). If the CPU is meant, set DARKROOM_DEVICE=cpu.'
    )


def test_the_cpu_is_had_where_it_is_meant(machine: Machine) -> None:
    machine.plug_in(driver="535.183.01")
    machine.install(cuda="13.0")
    cpu = check_device(EngineConfig(device="cpu"), device_files=machine.dev)
    assert cpu == torch.device("cpu")


def test_only_a_gpus_own_files_count(machine: Machine) -> None:
    (machine.dev / "nvidiactl").touch()
    (machine.dev / "nvidia-modeset").touch()
    assert not has_nvidia_files(machine.dev)
    machine.plug_in()
    assert has_nvidia_files(machine.dev)


def test_a_driver_whose_version_is_not_told_is_unknown(machine: Machine) -> None:
    assert driver_version() == ""
    machine.version.write_text("nothing of use")
    assert driver_version() == ""


@pytest.mark.parametrize("capability", [(6, 1), (7, 0), (5, 2)])
def test_a_gpu_older_than_what_torch_is_built_for_is_refused_before_its_first_kernel(
    machine: Machine, capability: tuple[int, int]
) -> None:
    """`torch.cuda.is_available()` is True there."""
    machine.work(name="NVIDIA GeForce GTX 1080", capability=capability)
    told = refusal(machine)
    major, minor = capability
    assert told.startswith(
        f"NVIDIA GeForce GTX 1080 (compute capability {major}.{minor}) cannot be used: torch 2.13.0"
        " is built for sm_75, sm_80,"
    )
    assert told.endswith(
        'Install a torch for an older CUDA (README, "Add a GPU worker"). If the CPU is meant, set'
        " DARKROOM_DEVICE=cpu."
    )


def test_a_gpu_newer_than_what_torch_is_built_for_needs_a_newer_cuda(machine: Machine) -> None:
    machine.work(name="NVIDIA GeForce RTX 5090", capability=(12, 0))
    machine.patch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_50", "sm_80", "sm_90"])
    assert "Install a torch for a newer CUDA" in refusal(machine)


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 9), (9, 0), (10, 3), (12, 1), (13, 0)])
def test_a_gpu_that_torch_has_code_for_is_tried(
    machine: Machine, capability: tuple[int, int]
) -> None:
    """Code for 8.6 runs on 8.9, and what is left for the driver to compile on all later ones. Here
    the trial fails, as there is no GPU."""
    machine.work(capability=capability)
    machine.patch.setattr(torch, "ones", lambda *_size, **_options: broken())

    def broken() -> None:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered\nsee the manual")

    assert refusal(machine) == (
        "NVIDIA GeForce RTX 3060 does not work: CUDA error: uncorrectable ECC error encountered"
    )


def test_a_gpu_that_computes_wrongly_is_refused(machine: Machine) -> None:
    ones = torch.ones
    machine.work()
    machine.patch.setattr(torch, "ones", lambda *size, device: ones(*size) * 2)
    assert refusal(machine, "cuda:1") == (
        "NVIDIA GeForce RTX 3060 does not work: it computes wrongly."
    )


def test_one_gpu_of_several_is_chosen_by_its_number(machine: Machine) -> None:
    machine.work()
    assert choose_device(EngineConfig(device="cuda:1")) == torch.device("cuda", 1)
    assert refusal(machine, "cuda:2") == (
        "DARKROOM_DEVICE is cuda:2, but only cuda:0 to cuda:1 are here."
    )
    machine.patch.setattr(torch.cuda, "device_count", lambda: 1)
    assert refusal(machine, "cuda:1") == "DARKROOM_DEVICE is cuda:1, but only cuda:0 is here."


def test_the_log_has_one_line_of_what_is_drawn_on(machine: Machine) -> None:
    machine.plug_in()
    machine.work()
    dtypes = {"sd": torch.float16, "sdxl": torch.float16, "flux": torch.bfloat16}
    line = describe_device(
        torch.device("cuda", 1), dtypes=dtypes, free=11_200_000_000, total=12_600_000_000
    )
    assert line == (
        "NVIDIA GeForce RTX 3060, cuda:1, driver 580.65.06, compute capability 8.6, torch 2.13.0"
        " for CUDA 13.0, float16 for sd and sdxl, bfloat16 for flux, 11.2 of 12.6 GB free"
    )


def test_a_runner_adds_how_it_draws() -> None:
    line = DiffusersRunner(EngineConfig(device="cpu", preview_every=0)).describe()
    assert line.startswith("CPU, ")
    assert f"float32 for {' and '.join(ADAPTERS)}" in line
    assert line.endswith("GB free, graphs off, compiling off")


@pytest.mark.parametrize(
    ("device", "entered"), [("cuda:1", [torch.device("cuda", 1)]), ("cuda", []), ("cpu", [])]
)
def test_each_thread_is_put_on_the_gpu_that_was_chosen(
    machine: Machine, device: str, entered: list[torch.device]
) -> None:
    """If none was, torch's first one serves."""
    machine.work()
    asked: list[torch.device] = []
    machine.patch.setattr(torch.cuda, "set_device", asked.append)
    runner = DiffusersRunner(EngineConfig(device="cpu"))
    runner._device = choose_device(EngineConfig(device=device))
    runner.enter_thread()
    assert asked == entered
