"""What a section of the first run draws with: the device, and models to draw on it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from tests.bench.engine.models import ModelName, build
from tests.pipelines.tiny_models import build_tiny_sdxl
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from tests.pretend_cuda.device import PretendCuda
from worker.config import EngineConfig
from worker.engine.request import ModelSource
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.tiny import build_tiny_stable_diffusion

DeviceName = Literal["cuda", "cpu", "pretend"]
TINY: dict[str, Callable[[Path], Any]] = {
    "sd": build_tiny_stable_diffusion,
    "sdxl": build_tiny_sdxl,
    "sd3": build_tiny_sd3,
    "flux": build_tiny_flux,
}
TINY_SIDE_PX = 64


@dataclass(frozen=True, slots=True)
class Model:
    """A model to draw with, and the side of its images."""

    source: ModelSource
    side_px: int


@dataclass(frozen=True, slots=True)
class Machine:
    """`name` as on the command line; on "pretend" the device is CUDA by its name and the CPU by
    its values, and both it and the CPU draw with tiny models only."""

    name: DeviceName
    models: Path
    gpu: PretendCuda | None = None

    @property
    def is_real(self) -> bool:
        """A CUDA device that can be timed and run out of memory."""
        return self.name == "cuda"

    @property
    def device(self) -> torch.device:
        """As torch knows it."""
        return torch.device("cpu" if self.name == "cpu" else "cuda")

    def config(self, **changes: Any) -> EngineConfig:
        """Without previews unless asked for; one thread for tiny models."""
        usual: dict[str, Any] = {"preview_every": 0, "threads": None if self.is_real else 1}
        return EngineConfig(device=self.device.type, **(usual | changes))

    def runner(self, **changes: Any) -> DiffusersRunner:
        """A runner with that configuration; the pretend device has to be entered by the engine's
        thread, too."""
        runner = DiffusersRunner(self.config(**changes))
        if self.gpu is not None:
            around = contextlib.ExitStack()
            gpu = self.gpu
            runner.enter_thread = lambda: around.enter_context(gpu.here())  # type: ignore[method-assign]
        return runner

    def tiny(self, family: str) -> Model:
        """A tiny model of that family, built at its first use."""
        folder = self.models / f"tiny-{family}"
        if not folder.exists():
            TINY[family](folder)
        return Model(ModelSource(f"tiny-{family}", family, "folder", str(folder)), TINY_SIDE_PX)

    def large(self, name: ModelName) -> Model:
        """SD 1.5 or SDXL in full size, weights random; a tiny one elsewhere than on CUDA."""
        if not self.is_real:
            return self.tiny("sdxl" if name == "sdxl" else "sd")
        folder = self.models / name
        if not folder.exists():
            built = build(name, folder, device="cuda")
            return Model(built.source, built.side_px)
        family, side_px = ("sdxl", 1024) if name == "sdxl" else ("sd", 512)
        return Model(ModelSource(name, family, "folder", str(folder)), side_px)

    def synchronize(self) -> None:
        """All that the device was asked for is done."""
        if self.is_real:
            torch.cuda.synchronize()


@contextlib.contextmanager
def machine(name: DeviceName, models: Path) -> Iterator[Machine]:
    """The machine, with the pretend device around what is drawn if that is asked for."""
    models.mkdir(parents=True, exist_ok=True)
    if name != "pretend":
        yield Machine(name, models)
        return
    before = Machine("cpu", models)
    for family in TINY:  # while torch knows the CPU alone
        before.tiny(family)
    with PretendCuda() as gpu:
        yield Machine(name, models, gpu)
