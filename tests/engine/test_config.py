"""The worker's settings are read strictly and the errors name the variable."""

import pytest

from worker.config import ConfigError, EngineConfig


def test_an_empty_environment_gives_the_defaults() -> None:
    assert EngineConfig.from_env({}) == EngineConfig()
    assert EngineConfig.from_env({"DARKROOM_TORCH_THREADS": ""}) == EngineConfig()


def test_every_setting_is_read() -> None:
    env = {
        "DARKROOM_DEVICE": "cpu",
        "DARKROOM_DTYPE": "bfloat16",
        "DARKROOM_TORCH_THREADS": "2",
        "DARKROOM_PREVIEW_EVERY": "0",
        "DARKROOM_RESIDENT_MODELS": "3",
    }
    assert EngineConfig.from_env(env) == EngineConfig("cpu", "bfloat16", 2, 0, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_DEVICE", "gpu"),
        ("DARKROOM_DTYPE", "half"),
        ("DARKROOM_TORCH_THREADS", "0"),
        ("DARKROOM_TORCH_THREADS", "two"),
        ("DARKROOM_PREVIEW_EVERY", "-1"),
        ("DARKROOM_RESIDENT_MODELS", "0"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{value}'"):
        EngineConfig.from_env({name: value})
