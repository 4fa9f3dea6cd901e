"""A whole training run in a minute: VAE, latents, denoiser, and a pipeline that loads."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from worker.training import export, train, train_vae
from worker.training.budget import Budget, learning_rate
from worker.training.diffusion import add_noise, build_scheduler, signal_shares, velocity
from worker.training.models import build_text_encoder
from worker.training.text_start import grow_vocabulary
from worker.training.tokenizer import learn_tokenizer

COMMON = ["--size-px", "64", "--batch", "8", "--seed", "1"]
PARTS = ["--concepts", "4", "--composed", "16", "--word-steps", "20"]


@pytest.fixture(scope="module")
def work(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a VAE of a few steps and a denoiser of some dozen."""
    folder = tmp_path_factory.mktemp("work")
    places = ["--packages", str(packages), "--work", str(folder)]
    train_vae.train(
        train_vae.parse_arguments(
            [*places, *COMMON, "--crop-px", "32", "--pictures", "96", "--steps", "4"]
        )
    )
    first = train.train(train.parse_arguments([*places, *COMMON, *PARTS, "--steps", "2"]))
    later = train.train(train.parse_arguments([*places, *COMMON, *PARTS, "--steps", "40"]))
    (folder / "losses.json").write_text(json.dumps([first, later]))
    return folder


def test_a_short_run_lowers_the_loss(work: Path) -> None:
    first, later = json.loads((work / "losses.json").read_text())
    assert later < 0.9 * first


def test_a_second_run_goes_on_where_the_first_ended(work: Path) -> None:
    state = torch.load(work / "denoiser.pt", weights_only=True)
    assert state["step"] == 40
    assert state["updates"] == 40
    assert (work / "sheet-000002.png").exists()
    assert (work / "sheet-000040.png").exists()


def test_a_run_that_starts_from_a_model_learns_more_things(
    work: Path, packages: Path, tmp_path: Path
) -> None:
    shutil.copytree(work / "vae", tmp_path / "vae")
    places = ["--packages", str(packages), "--work", str(tmp_path)]
    parts = ["--concepts", "6", "--composed", "16", "--word-steps", "2", "--steps", "2"]
    started = ["--start", str(work / "pipeline")]
    train.train(train.parse_arguments([*places, *COMMON, *parts, *started]))
    before, after = (
        StableDiffusionPipeline.from_pretrained(folder / "pipeline", safety_checker=None)
        for folder in (work, tmp_path)
    )
    assert len(after.tokenizer) > len(before.tokenizer)
    assert after.text_encoder.config.vocab_size == len(after.tokenizer)


def test_a_vocabulary_that_grows_keeps_the_words_that_were_known() -> None:
    known = learn_tokenizer(["a cat", "a dog"] * 3)
    more = learn_tokenizer(["a cat", "a dog", "a unicorn"] * 3)
    encoder = build_text_encoder(known)
    before = encoder.get_input_embeddings().weight.detach().clone()
    grow_vocabulary(encoder, known, more)
    after = encoder.get_input_embeddings().weight
    assert "unicorn</w>" in more.get_vocab().keys() - known.get_vocab().keys()
    for word in ("a</w>", "cat</w>", "dog</w>"):
        old, new = before[known.get_vocab()[word]], after[more.get_vocab()[word]]
        torch.testing.assert_close(new, old)


def test_the_saved_folder_loads_as_a_stable_diffusion_pipeline(work: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(
        work / "pipeline", safety_checker=None, use_safetensors=True, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)

    def draw(prompt: str) -> torch.Tensor:
        generator = torch.Generator("cpu").manual_seed(5)
        pictures: torch.Tensor = pipeline(
            prompt, num_inference_steps=3, generator=generator, output_type="pt"
        ).images
        return pictures

    assert draw("a cat").shape == (1, 3, 64, 64)
    assert torch.equal(draw("a cat"), draw("a cat"))
    assert not torch.equal(draw("a cat"), draw("파란 배경의 사과"))


def test_the_exported_folder_is_small_and_loads_without_naming_a_dtype(
    work: Path, tmp_path: Path
) -> None:
    size = export.export(work=work, out=tmp_path / "starter")
    sizes = [path.stat().st_size for path in (tmp_path / "starter").rglob("*") if path.is_file()]
    assert size == sum(sizes) <= 40_000_000
    assert max(sizes) <= 16_000_000
    for config in (tmp_path / "starter").glob("*/config.json"):
        assert str(work) not in config.read_text()
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "starter", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a cat", num_inference_steps=2, output_type="pt").images.isfinite().all()


def test_an_export_refuses_a_vae_that_the_denoiser_did_not_learn(
    work: Path, tmp_path: Path
) -> None:
    shutil.copytree(work, tmp_path / "work")
    config = tmp_path / "work" / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"scaling_factor": 0.5}))
    with pytest.raises(ValueError, match="train the denoiser again"):
        export.export(work=tmp_path / "work", out=tmp_path / "starter")


def test_the_velocity_gives_back_the_clean_latents() -> None:
    clean, noise = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8)
    share = signal_shares()[[0, 300, 700, 999]].float()
    noisy, said = add_noise(clean, noise, share), velocity(clean, noise, share)
    a = share.view(-1, 1, 1, 1)
    torch.testing.assert_close(a.sqrt() * noisy - (1 - a).sqrt() * said, clean)


def test_the_written_out_process_is_the_schedulers() -> None:
    scheduler = build_scheduler()
    clean, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    times = torch.tensor([10, 900])
    share = signal_shares()[times].float()
    torch.testing.assert_close(
        add_noise(clean, noise, share), scheduler.add_noise(clean, noise, times)
    )
    torch.testing.assert_close(
        velocity(clean, noise, share), scheduler.get_velocity(clean, noise, times)
    )


def test_a_budget_is_minutes_or_steps() -> None:
    with pytest.raises(ValueError, match="either minutes or steps"):
        Budget()
    assert Budget(steps=10).fraction(5) == 0.5


def test_the_learning_rate_rises_holds_and_falls_to_zero() -> None:
    assert learning_rate(1.0, step=0, fraction=0.0, warmup_steps=10) == 0.1
    assert learning_rate(1.0, step=50, fraction=0.4, warmup_steps=10) == 1.0
    assert math.isclose(learning_rate(1.0, step=99, fraction=1.0), 0.0, abs_tol=1e-9)
