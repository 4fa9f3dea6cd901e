"""A whole training run in a minute: VAE, latents, denoiser, and a pipeline that loads."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from worker.training import export, latents, train, train_decoder, train_vae
from worker.training.budget import Budget, learning_rate
from worker.training.diffusion import add_noise, build_scheduler, signal_shares, velocity
from worker.training.models import build_text_encoder
from worker.training.scenes import Stage
from worker.training.text_start import grow_vocabulary
from worker.training.tokenizer import learn_tokenizer
from worker.training.vae_growth import even_out, grow_vae, smoothness
from worker.training.vae_start import start_near_linear

# Half the size that is trained for: at a quarter the U-Net halves a single pixel, whose gradient is
# garbage in bfloat16 (findings/bf16_gradient_of_a_strided_conv_on_one_pixel_is_garbage.sh).
COMMON = ["--size-px", "128", "--batch", "8", "--seed", "1"]
CHUNKS = ["--chunks", "2", "--scenes", "24"]
WORDS = ["--word-steps", "20", "--captions", "3000"]


@pytest.fixture(scope="module")
def work(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a VAE of a few steps and a denoiser of some dozen."""
    folder = tmp_path_factory.mktemp("work")
    places = ["--packages", str(packages), "--work", str(folder)]
    train_vae.train(
        train_vae.parse_arguments([*places, *COMMON, "--pictures", "80", "--steps", "4"])
    )
    latents.build(latents.parse_arguments([*places, "--size-px", "128", *CHUNKS]))
    first = train.train(train.parse_arguments([*places, *COMMON, *WORDS, "--steps", "2"]))
    later = train.train(train.parse_arguments([*places, *COMMON, *WORDS, "--steps", "40"]))
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


def test_a_run_that_starts_from_a_model_keeps_its_weights_and_learns_the_new_words(
    work: Path, packages: Path, tmp_path: Path
) -> None:
    for part in ("vae", "latents"):
        shutil.copytree(work / part, tmp_path / part)
    places = ["--packages", str(packages), "--work", str(tmp_path)]
    parts = ["--word-steps", "2", "--captions", "4000", "--steps", "1", "--lr", "0"]
    train.train(
        train.parse_arguments([*places, *COMMON, *parts, "--start", str(work / "pipeline")])
    )
    before, after = (
        StableDiffusionPipeline.from_pretrained(folder / "pipeline", safety_checker=None)
        for folder in (work, tmp_path)
    )
    assert after.text_encoder.config.vocab_size == len(after.tokenizer)
    torch.testing.assert_close(after.unet.conv_in.weight, before.unet.conv_in.weight)


def test_the_latents_of_a_chunk_are_written_once(work: Path, packages: Path) -> None:
    paths = sorted((work / "latents").glob("*.pt"))
    written = [path.stat().st_mtime_ns for path in paths]
    places = ["--packages", str(packages), "--work", str(work), "--size-px", "128"]
    latents.build(latents.parse_arguments([*places, *CHUNKS]))
    assert [path.stat().st_mtime_ns for path in paths] == written


def test_the_scenes_of_a_chunk_are_described_as_they_were_drawn(work: Path, stage: Stage) -> None:
    known = latents.load_chunks(work / "latents")
    rng = np.random.default_rng((latents.SCENES_SEED, 0))
    drawn = [replace(stage.draw(rng), poses=()) for _ in range(24)]
    assert known.scenes[:24] == drawn
    assert known.latents.shape == (48, 8, 8, 8)


def test_a_grown_vae_does_what_it_did_at_half_the_side() -> None:
    torch.manual_seed(0)
    known = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(16, 32),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=16,
    )
    start_near_linear(known)
    grown = grow_vae(known, channels=6)
    half = torch.rand(2, 3, 16, 16) * 0.2
    whole = half.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    with torch.no_grad():
        before = known.encode(half).latent_dist.mode()
        after = grown.encode(whole).latent_dist.mode()
    assert after.shape == (2, 6, 8, 8)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(after[:, :4][inner], before[inner], atol=0.05, rtol=0.05)


def test_a_decoder_that_learns_alone_leaves_the_latents_as_they_are(
    work: Path, packages: Path, tmp_path: Path
) -> None:
    shutil.copytree(work / "vae", tmp_path / "vae")
    places = ["--packages", str(packages), "--work", str(tmp_path)]
    for steps in ("1", "3"):  # the second run goes on where the first ended
        parts = ["--pictures", "80", "--steps", steps, "--critic-alone", "1"]
        train_decoder.train(train_decoder.parse_arguments([*places, *COMMON, *parts]))
    assert torch.load(tmp_path / "decoder.pt", weights_only=True)["step"] == 3
    before, after = (AutoencoderKL.from_pretrained(f / "vae") for f in (work, tmp_path))
    picture = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        latents_before, latents_after = (
            v.encode(picture).latent_dist.mode() for v in (before, after)
        )
        torch.testing.assert_close(latents_after, latents_before)
        assert not torch.equal(
            before.decode(latents_before).sample, after.decode(latents_before).sample
        )


def test_a_critics_gradient_is_a_share_of_the_reconstructions() -> None:
    torch.manual_seed(0)
    critic = train_decoder.Critic()
    decoded, pictures = torch.rand(2, 2, 3, 32, 32) * 2.0 - 1.0
    alone, loss = train_decoder.picture_gradient(critic, decoded, pictures, share=0.0)
    both, same = train_decoder.picture_gradient(critic, decoded, pictures, share=0.25)
    assert same == loss
    assert float((both - alone).norm()) == pytest.approx(0.25 * float(alone.norm()), rel=1e-3)


def test_evened_latents_vary_as_smoothly_as_they_are_and_decode_to_the_same(work: Path) -> None:
    vae = AutoencoderKL.from_pretrained(work / "vae")
    with torch.no_grad():
        vae.quant_conv.weight[:8].mul_(3.0)
        vae.quant_conv.bias[:8].add_(1.0)
    pictures = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    before = train_vae.reconstruct(vae, pictures)
    even_out(vae, pictures)
    with torch.no_grad():
        said = vae.encode(pictures.float() / 127.5 - 1.0).latent_dist.mode()
    torch.testing.assert_close(said.mean((0, 2, 3)), torch.zeros(8), atol=1e-3, rtol=0)
    wanted = smoothness(said) / smoothness(said).max()
    torch.testing.assert_close(said.std((0, 2, 3)), wanted, atol=1e-3, rtol=0)
    torch.testing.assert_close(train_vae.reconstruct(vae, pictures), before, atol=2e-3, rtol=0)


def test_white_noise_is_a_quarter_as_smooth_as_a_plain_surface() -> None:
    torch.manual_seed(0)
    noise = torch.randn(16, 1, 32, 32)
    plain = torch.randn(16, 1, 1, 1).expand_as(noise)
    shares = smoothness(torch.cat([noise, plain], dim=1))
    torch.testing.assert_close(shares, torch.tensor([0.25, 1.0]), atol=0.02, rtol=0)


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

    assert draw("a cat").shape == (1, 3, 128, 128)
    assert torch.equal(draw("a cat"), draw("a cat"))
    assert not torch.equal(draw("a cat"), draw("파란 배경의 사과"))


def test_the_exported_folder_is_small_and_loads_without_naming_a_dtype(
    work: Path, packages: Path, tmp_path: Path
) -> None:
    size = export.export(work=work, out=tmp_path / "starter", packages=packages)
    sizes = [path.stat().st_size for path in (tmp_path / "starter").rglob("*") if path.is_file()]
    assert size == sum(sizes) <= 40_000_000
    assert max(sizes) <= 16_000_000
    for config in (tmp_path / "starter").glob("*/config.json"):
        assert str(work) not in config.read_text()
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "starter", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a cat", num_inference_steps=2, output_type="pt").images.isfinite().all()


def test_an_export_refuses_a_vae_that_the_denoiser_did_not_learn(
    work: Path, packages: Path, tmp_path: Path
) -> None:
    shutil.copytree(work, tmp_path / "work")
    config = tmp_path / "work" / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"scaling_factor": 0.5}))
    with pytest.raises(ValueError, match="train the denoiser again"):
        export.export(work=tmp_path / "work", out=tmp_path / "starter", packages=packages)


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
