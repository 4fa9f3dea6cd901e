"""The worker's settings, read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

Device = Literal["auto", "cuda", "mps", "cpu"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]


class ConfigError(ValueError):
    """A setting is not usable; the message names the variable."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How the engine runs.

    `threads`: CPU threads of torch, None leaves torch's own choice. `preview_every`: steps between
    two previews, 0 for none. `resident_models`: how many models stay loaded at once.
    """

    device: Device = "auto"
    dtype: Dtype = "auto"
    threads: int | None = None
    preview_every: int = 3
    resident_models: int = 1

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "EngineConfig":
        """Return the configuration in `env`; an unset or empty variable means its default.

        Raises `ConfigError` naming the variable, its value and what would be accepted.
        """
        return cls(
            device=cast(Device, _choice(env, "DARKROOM_DEVICE", get_args(Device))),
            dtype=cast(Dtype, _choice(env, "DARKROOM_DTYPE", get_args(Dtype))),
            threads=_whole_number(env, "DARKROOM_TORCH_THREADS", default=0, least=1) or None,
            preview_every=_whole_number(env, "DARKROOM_PREVIEW_EVERY", default=3, least=0),
            resident_models=_whole_number(env, "DARKROOM_RESIDENT_MODELS", default=1, least=1),
        )


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
