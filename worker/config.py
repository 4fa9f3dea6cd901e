"""The worker's settings, read once from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

Dtype = Literal["auto", "float32", "float16", "bfloat16"]
Weights = Literal["auto", "full", "fp8"]
Compile = Literal["off", "on", "auto"]
_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}


class ConfigError(ValueError):
    """A setting is not usable; the message names the variable."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How the engine runs.

    `device`: "auto", "cpu", "mps", "cuda", or "cuda:1" for the second GPU of a machine.
    `weights`: "fp8" stores denoisers' weights in one byte each, "auto" those that do not fit else.
    `threads`: CPU threads of torch, None leaves torch's own choice. `preview_every`: steps between
    two previews at most, 0 for none. `resident_models`: how many models stay loaded at once, None
    leaves that to memory alone. `model_memory`: bytes that the weights on the device may take, None
    for a share of its memory; `host_model_memory`: bytes for those that wait beside a CUDA device,
    None for a share of the machine's. A model that does not fit into `model_memory` even alone is
    refused; one alone may be larger than the share. `compile`: "on" compiles when nobody waits;
    "auto", which older settings say, is "off": no measurement has shown yet where compiling pays.
    `max_rows`: rows of one denoiser call at most. `model_turn_s`: how long a request waits at most
    for its model while others have use for those on the device.
    """

    device: str = "auto"
    dtype: Dtype = "auto"
    weights: Weights = "auto"
    threads: int | None = None
    preview_every: int = 3
    resident_models: int | None = None
    model_memory: int | None = None
    host_model_memory: int | None = None
    compile: Compile = "off"
    max_rows: int = 32
    model_turn_s: float = 20.0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "EngineConfig":
        """Return the configuration in `env`; an unset or empty variable means its default.

        Raises `ConfigError` naming the variable, its value and what would be accepted.
        """
        return cls(
            device=_device(env),
            dtype=cast(Dtype, _choice(env, "DARKROOM_DTYPE", get_args(Dtype))),
            weights=cast(Weights, _choice(env, "DARKROOM_WEIGHTS", get_args(Weights))),
            threads=_whole_number(env, "DARKROOM_TORCH_THREADS", default=0, least=1) or None,
            preview_every=_whole_number(env, "DARKROOM_PREVIEW_EVERY", default=3, least=0),
            resident_models=_whole_number(env, "DARKROOM_RESIDENT_MODELS", default=0, least=1)
            or None,
            model_memory=_size(env, "DARKROOM_MODEL_MEMORY"),
            host_model_memory=_size(env, "DARKROOM_HOST_MODEL_MEMORY"),
            max_rows=_whole_number(env, "DARKROOM_MAX_ROWS", default=32, least=2),
            compile=cast(Compile, _choice(env, "DARKROOM_COMPILE", get_args(Compile))),
        )


def _device(env: Mapping[str, str]) -> str:
    value = env.get("DARKROOM_DEVICE", "").strip() or "auto"
    if re.fullmatch(r"auto|cpu|mps|cuda(:(0|[1-9]\d?))?", value, re.ASCII) is None:
        raise ConfigError(
            f"DARKROOM_DEVICE is {value!r}; it must be one of auto, cuda, mps, cpu, or one GPU of"
            " several, such as cuda:1."
        )
    return value


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """The first choice is the default."""
    value = env.get(name, "").strip() or choices[0]
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(choices)}.")
    return value


def _whole_number(env: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise ConfigError(f"{name} is {text!r}; it must be a whole number of at least {least}.")
    return int(text)


def _size(env: Mapping[str, str], name: str) -> int | None:
    """Bytes; None for "auto" and for an unset or empty variable."""
    text = env.get(name, "").strip() or "auto"
    if text == "auto":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(MB|GB|MiB|GiB)", text, re.ASCII)
    if found is None:
        raise ConfigError(f"{name} is {text!r}; it must be auto or a size such as 6GB or 800MiB.")
    return int(float(found[1]) * _UNITS[found[2]])
