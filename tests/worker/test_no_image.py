"""What is no image fails with its own sentence, is not kept and costs nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils.translation import override
from safetensors.torch import load_file, save_file

from tests.people import make_model, submit
from tests.pipelines.tiny_transformers import build_tiny_pixart
from tests.worker.test_desk import START_UCR, files_kept
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.models import Notice
from webapp.credits.selectors import get_balance
from webapp.generation.failures import tell_failure
from webapp.generation.models import Image
from webapp.operations.audit import find_violations
from worker.engine.engine import Engine
from worker.tasks import Desk

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("valkey_is_empty"),
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
]
Tensors = dict[str, Any]
Spoil = Callable[[Tensors], None]


def run_over(tensors: Tensors) -> None:
    """Every answer of this denoiser is not-a-number."""
    next(iter(tensors.values())).fill_(float("nan"))


def go_dark(tensors: Tensors) -> None:
    """Whatever this VAE decodes is far below black."""
    tensors["decoder.conv_out.weight"].zero_()
    tensors["decoder.conv_out.bias"].fill_(-10.0)


def spoilt(original: Path, folder: Path, part: str, spoil: Spoil) -> Path:
    shutil.copytree(original, folder)
    file = folder / part / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    spoil(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


@pytest.fixture
def counted_steps(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each denoiser call."""
    calls: list[int] = []
    step = engine._runner.step

    def count(*args: Any, **named: Any) -> Any:
        calls.append(1)
        return step(*args, **named)

    monkeypatch.setattr(engine._runner, "step", count)
    return calls


def assert_failed_for_nothing(alice: User, *, code: str, english: str, korean: str) -> None:
    image = Image.objects.get()
    assert (image.state, image.failure_code) == ("failed", code)
    assert tell_failure(code=image.failure_code, sentence=image.failure) == english
    with override("ko"):
        assert tell_failure(code=image.failure_code, sentence=image.failure) == korean
    assert (files_kept(), image.file) == ([], "")
    balance = get_balance(user=alice)
    assert (balance.available_ucr, balance.held_ucr) == (START_UCR, 0)
    assert not list(find_violations())
    assert Notice.objects.get().code == f"model:{code}:broken"


NO_NUMBERS = {
    "code": "overflowed",
    "english": "The model produced numbers that are not an image.",
    "korean": "모델의 계산 결과가 이미지가 아닙니다.",
}
BLACK = {
    "code": "black_image",
    "english": "The image came out entirely black, so it was not kept.",
    "korean": "이미지가 완전히 검게 나와 저장하지 않았습니다.",
}


def test_numbers_that_ran_over_are_noticed_after_the_first_step(
    alice: User, tiny_model_dir: Path, tmp_path: Path, desk: Desk, counted_steps: list[int]
) -> None:
    folder = spoilt(tiny_model_dir, tmp_path / "broken", "unet", run_over)
    submit(alice, make_model("broken", location=str(folder)), steps=20)
    desk.answer()
    assert len(counted_steps) == 1
    assert_failed_for_nothing(alice, **NO_NUMBERS)


def test_an_image_that_came_out_black_is_neither_kept_nor_charged(
    alice: User, tiny_model_dir: Path, tmp_path: Path, desk: Desk
) -> None:
    folder = spoilt(tiny_model_dir, tmp_path / "broken", "vae", go_dark)
    submit(alice, make_model("broken", location=str(folder)), steps=2)
    desk.answer()
    assert_failed_for_nothing(alice, **BLACK)


@pytest.mark.parametrize(
    ("part", "spoil", "said"), [("transformer", run_over, NO_NUMBERS), ("vae", go_dark, BLACK)]
)
def test_a_model_that_is_drawn_whole_is_looked_at_too(
    alice: User, tmp_path: Path, desk: Desk, part: str, spoil: Spoil, said: dict[str, str]
) -> None:
    whole = build_tiny_pixart(tmp_path / "whole")
    folder = spoilt(whole, tmp_path / "broken", part, spoil)
    model = make_model("broken", location=str(folder))
    DiffusionModel.objects.filter(pk=model.pk).update(family="other", sampler="own")
    submit(alice, DiffusionModel.objects.get(), steps=3, sampler="own")
    desk.answer()
    assert_failed_for_nothing(alice, **said)
