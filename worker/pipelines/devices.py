"""The device that a worker draws on: which one, what it is, and why it cannot be had."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import torch

from worker.config import EngineConfig
from worker.engine.errors import EngineError

logger = logging.getLogger(__name__)

DEVICE_FILES = Path("/dev")
DRIVER_VERSION = Path("/proc/driver/nvidia/version")
# CUDA's major version -> the first driver that runs it (NVIDIA's compatibility guide)
_FIRST_DRIVERS = {11: 450, 12: 525, 13: 580}
# Number format -> the instructions (as Linux names them) by which an x86 CPU computes in it.
_CPU_INSTRUCTIONS = {
    "float16": {"avx512_fp16", "amx_fp16"},
    "bfloat16": {"avx512_bf16", "amx_bf16"},
}
CPU_INFO = Path("/proc/cpuinfo")
_CPU_IS_MEANT = "If the CPU is meant, set DARKROOM_DEVICE=cpu."
_HOW = '(README, "Add a GPU worker")'


class DeviceUnavailable(EngineError):
    """The worker cannot have the device that is meant; the sentence is for administrators."""


def choose_device(config: EngineConfig) -> torch.device:
    """Return the configured device; "auto" takes CUDA, then MPS, then the CPU.

    Raises `DeviceUnavailable` when the device asked for is not there.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if config.device == "auto":
        return torch.device(next(name for name, is_present in present.items() if is_present))
    device = torch.device(config.device)
    if not present[device.type]:
        why = why_no_cuda() if device.type == "cuda" else "torch does not find it here."
        raise DeviceUnavailable(f"DARKROOM_DEVICE is {config.device}, but {why} {_CPU_IS_MEANT}")
    if device.index is not None and device.index >= (count := torch.cuda.device_count()):
        found = "only cuda:0 is" if count == 1 else f"only cuda:0 to cuda:{count - 1} are"
        raise DeviceUnavailable(f"DARKROOM_DEVICE is {config.device}, but {found} here.")
    return device


def check_device(config: EngineConfig, *, device_files: Path = DEVICE_FILES) -> torch.device:
    """Return the configured device, which has just computed something.

    Raises `DeviceUnavailable` if it cannot, and if "auto" would draw on the CPU of a machine
    that has an NVIDIA GPU.
    """
    device = choose_device(config)
    if device.type == "cuda":
        _check_architecture(device)
    elif config.device == "auto" and has_nvidia_files(device_files):
        raise DeviceUnavailable(f"There is an NVIDIA GPU, but {why_no_cuda()} {_CPU_IS_MEANT}")
    _try(device)
    return device


def has_nvidia_files(device_files: Path = DEVICE_FILES) -> bool:
    """True if the driver has made the files of a GPU, usable or not."""
    return any(re.fullmatch(r"nvidia\d+", file.name) for file in device_files.glob("nvidia*"))


def why_no_cuda() -> str:
    """Why torch finds no CUDA device, as the end of a sentence: "...but <this>"."""
    wheel = torch.version.cuda
    if wheel is None and torch.version.hip is None:
        return (
            f"this torch ({torch.__version__}) is built without CUDA: install another build {_HOW}."
        )
    driver, first = driver_version(), _FIRST_DRIVERS.get(int((wheel or "0").split(".")[0]), 0)
    if driver and int(driver.split(".")[0]) < first:
        return (
            f"its driver, {driver}, is too old: torch {torch.__version__} is built for CUDA"
            f" {wheel}, which needs driver {first} or newer. Update the driver, or install a torch"
            f" for an older CUDA {_HOW}."
        )
    return f"torch finds no CUDA device: {_words_of_torch()}"


def driver_version(file: Path | None = None) -> str:
    """The version of NVIDIA's kernel driver, such as "580.65.06"; "" if that is not known."""
    try:
        told = (file or DRIVER_VERSION).read_text("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(r"\b(\d{3,}(?:\.\d+)+)\b", told)  # the module's line comes first
    return found[1] if found else ""


def _words_of_torch() -> str:
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    # An AssertionError, a RuntimeError or one of the driver's own.
    except Exception as error:
        return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".") + "."
    return "CUDA_VISIBLE_DEVICES may leave none."


def _check_architecture(device: torch.device) -> None:
    """`torch.cuda.is_available()` is True for a GPU that this build has no code for."""
    if torch.version.cuda is None:  # ROCm names its architectures otherwise
        return
    capability, built = torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
    if built and not any(_runs(code, capability) for code in built):
        major, minor = capability
        age = "a newer" if all(capability > _capability(code) for code in built) else "an older"
        raise DeviceUnavailable(
            f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor}) cannot be"
            f" used: torch {torch.__version__} is built for {', '.join(built)}. Install a torch for"
            f" {age} CUDA {_HOW}. {_CPU_IS_MEANT}"
        )


def _capability(code: str) -> tuple[int, int]:
    """The compute capability that "sm_86" is for; (0, 0) if the code names none."""
    found = re.fullmatch(r"[a-z]+_(\d+)(\d)[a-z]?", code)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _runs(code: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU runs "sm_86" (machine code, for its own generation) or "compute_86" (compiled
    by the driver, for any later one)."""
    found = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", code)
    if found is None:
        return True
    major, minor = int(found[2]), int(found[3])
    if found[1] == "compute":
        return (major, minor) <= capability
    return major == capability[0] and minor <= capability[1]


def _try(device: torch.device) -> None:
    try:
        total = torch.ones(4, 4, device=device).matmul(torch.ones(4, 4, device=device)).sum().item()
    except (RuntimeError, NotImplementedError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeviceUnavailable(f"{name_device(device)} does not work: {first_line}") from error
    if total != 64.0:
        raise DeviceUnavailable(f"{name_device(device)} does not work: it computes wrongly.")


def name_device(device: torch.device) -> str:
    """What the device calls itself to people: "NVIDIA H200", "Apple GPU", "CPU, 2 threads"."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return "Apple GPU"
    return f"CPU, {torch.get_num_threads()} threads"


def describe_device(
    device: torch.device, *, dtypes: Mapping[str, torch.dtype], free: int, total: int
) -> str:
    """One line for the log: `dtypes` by family, memory in bytes."""
    facts = [name_device(device), *(_cuda_facts(device) if device.type == "cuda" else ())]
    facts.append(f"torch {torch.__version__}{_built_for()}")
    for dtype in dict.fromkeys(dtypes.values()):
        families = [family for family, its_own in dtypes.items() if its_own == dtype]
        facts.append(f"{str(dtype).removeprefix('torch.')} for {' and '.join(families)}")
    return ", ".join([*facts, f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"])


def _cuda_facts(device: torch.device) -> list[str]:
    major, minor = torch.cuda.get_device_capability(device)
    return [
        str(device),
        f"driver {driver_version() or 'unknown'}",
        f"compute capability {major}.{minor}",
    ]


def _built_for() -> str:
    if torch.version.hip:
        return f" for ROCm {torch.version.hip}"
    return f" for CUDA {torch.version.cuda}" if torch.version.cuda else ""


def slow_format(dtype: str, device: torch.device, *, cpu_info: Path | None = None) -> str:
    """A sentence for the log if this CPU has no instructions for numbers of `dtype`, and converts
    each one; "" if it has, if it is none, or if that can't be told. Measured with AVX2 alone: a
    U-Net takes 18 to 24 times as long as in float32."""
    cpu_info = cpu_info or CPU_INFO
    if device.type != "cpu" or dtype not in _CPU_INSTRUCTIONS or not cpu_info.is_file():
        return ""
    text = cpu_info.read_text(encoding="utf-8", errors="replace")
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    if not flags or _CPU_INSTRUCTIONS[dtype] & set(flags.split()):
        return ""
    return (
        f"DARKROOM_DTYPE={dtype}: this CPU has no instructions for it and draws about 20 times"
        " slower than with float32."
    )
