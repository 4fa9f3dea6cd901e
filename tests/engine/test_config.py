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
        "DARKROOM_MODEL_MEMORY": "6.5 GB",
        "DARKROOM_HOST_MODEL_MEMORY": "800MiB",
        "DARKROOM_COMPILE": "on",
    }
    assert EngineConfig.from_env(env) == EngineConfig(
        device="cpu",
        dtype="bfloat16",
        threads=2,
        preview_every=0,
        resident_models=3,
        model_memory=6_500_000_000,
        host_model_memory=800 * 2**20,
        compile="on",
    )


def test_memory_left_to_the_worker_is_not_a_size() -> None:
    config = EngineConfig.from_env({"DARKROOM_MODEL_MEMORY": "auto"})
    assert config.model_memory is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_DEVICE", "gpu"),
        ("DARKROOM_DEVICE", "cuda:"),
        ("DARKROOM_DEVICE", "cuda:-1"),
        ("DARKROOM_DEVICE", "cuda:100"),
        ("DARKROOM_DEVICE", "cpu:0"),
        ("DARKROOM_DTYPE", "half"),
        ("DARKROOM_TORCH_THREADS", "0"),
        ("DARKROOM_TORCH_THREADS", "two"),
        ("DARKROOM_PREVIEW_EVERY", "-1"),
        ("DARKROOM_RESIDENT_MODELS", "0"),
        ("DARKROOM_MODEL_MEMORY", "6"),
        ("DARKROOM_MODEL_MEMORY", "-1GB"),
        ("DARKROOM_HOST_MODEL_MEMORY", "half"),
        ("DARKROOM_COMPILE", "yes"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{value}'"):
        EngineConfig.from_env({name: value})


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:15"])
def test_one_gpu_of_several_may_be_named(device: str) -> None:
    assert EngineConfig.from_env({"DARKROOM_DEVICE": f" {device} "}).device == device
