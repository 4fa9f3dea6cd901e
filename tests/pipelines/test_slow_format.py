"""A worker says once that its CPU has no instructions for the number format that is asked for."""

from pathlib import Path

import pytest
import torch

from worker.config import Dtype, EngineConfig
from worker.pipelines import devices
from worker.pipelines.devices import slow_format
from worker.pipelines.runner import DiffusersRunner

OLD = "fpu sse2 avx avx2 f16c fma"


@pytest.fixture
def cpu_info(tmp_path: Path) -> Path:
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(
    ("dtype", "flags", "is_slow"),
    [
        ("float16", OLD, True),
        ("bfloat16", OLD, True),
        ("float32", OLD, False),
        ("auto", OLD, False),
        ("bfloat16", f"{OLD} avx512_bf16", False),
        ("bfloat16", f"{OLD} amx_bf16", False),
        ("float16", f"{OLD} avx512_bf16", True),
        ("float16", f"{OLD} avx512_fp16", False),
    ],
)
def test_a_format_without_instructions_is_slow(
    cpu_info: Path, dtype: str, flags: str, is_slow: bool
) -> None:
    cpu_info.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    said = slow_format(dtype, torch.device("cpu"), cpu_info=cpu_info)
    assert ("about 20 times slower" in said) == is_slow
    assert not slow_format(dtype, torch.device("cuda"), cpu_info=cpu_info)


def test_nothing_is_said_of_a_cpu_that_tells_nothing(cpu_info: Path) -> None:
    assert not slow_format("float16", torch.device("cpu"), cpu_info=cpu_info)
    cpu_info.write_text("Features\t: fp asimd bf16\n")  # ARM calls them otherwise
    assert not slow_format("float16", torch.device("cpu"), cpu_info=cpu_info)


@pytest.mark.parametrize(("dtype", "times"), [("bfloat16", 1), ("float32", 0)])
def test_a_worker_warns_once(
    cpu_info: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    dtype: Dtype,
    times: int,
) -> None:
    cpu_info.write_text(f"flags : {OLD}\n")
    monkeypatch.setattr(devices, "CPU_INFO", cpu_info)
    DiffusersRunner(EngineConfig(device="cpu", dtype=dtype))
    assert caplog.text.count(f"DARKROOM_DTYPE={dtype}") == times
