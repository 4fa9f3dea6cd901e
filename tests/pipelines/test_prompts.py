"""Words become what diffusers would make of them, with emphasis and at any length."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusion3Pipeline
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.pipelines.tiny_models import build_tiny_sdxl
from tests.pipelines.tiny_transformers import build_tiny_flux, build_tiny_sd3
from worker.config import EngineConfig
from worker.engine.errors import InvalidRequest
from worker.engine.request import ImageRequest, LoraSource, ModelSource
from worker.pipelines.loader import LoadedModel, load_model
from worker.pipelines.prompt_cache import COUNTS, PromptCache
from worker.pipelines.prompt_grammar import parse
from worker.pipelines.prompt_tokens import Token, split, tokenize
from worker.pipelines.prompts import MOST_CHUNKS, PromptEmbeddings, _converted, embed
from worker.pipelines.tiny import build_tiny_stable_diffusion, build_tiny_tokenizer

WINDOW = 77  # of the tiny models' CLIP
BUILDERS: dict[str, Callable[[Path], Path]] = {
    "sd": build_tiny_stable_diffusion,
    "sdxl": build_tiny_sdxl,
    "sd3": build_tiny_sd3,
    "flux": build_tiny_flux,
}
LONG = "cat, " * 60  # 120 tokens of CLIP


@pytest.fixture(scope="module")
def _models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    loaded = {}
    for family, build in BUILDERS.items():
        path = build(tmp_path_factory.mktemp("models") / family)
        loaded[family] = load_model(
            ModelSource("tiny", family, "folder", str(path)), EngineConfig(device="cpu")
        )
    return loaded


@pytest.fixture
def models(_models: dict[str, LoadedModel]) -> dict[str, LoadedModel]:
    """A loaded model of every family, none of which has met a prompt."""
    for model in _models.values():
        model.prompts = PromptCache()
    return _models


def embedded(
    model: LoadedModel, prompt: str, negative: str = "", *, guided: bool = True
) -> PromptEmbeddings:
    request = ImageRequest(
        request_id="request",
        owner_id="alice",
        model=model.source,
        prompt=prompt,
        negative_prompt=negative,
        width_px=64,
        height_px=64,
        steps=1,
        guidance_scale=5.0,
        seed=0,
        sampler="ddim",
    )
    return embed(model, request, guided=guided)


def reference(model: LoadedModel, prompt: str, negative: str) -> PromptEmbeddings:
    """What the model's own pipeline makes of it."""
    pipe, cpu = model.pipeline, torch.device("cpu")
    options: dict[str, Any] = {"device": cpu, "num_images_per_prompt": 1}
    with torch.no_grad():
        if model.source.family == "flux":
            positive, pooled, _ = pipe.encode_prompt(prompt, **options)
            unwanted, negative_pooled, _ = pipe.encode_prompt(negative, **options)
            return PromptEmbeddings(positive, unwanted, pooled, negative_pooled)
        if model.source.family == "sd3":
            options |= {"prompt_2": None, "prompt_3": None}
        both = pipe.encode_prompt(
            prompt,
            do_classifier_free_guidance=True,
            negative_prompt=negative or None,
            **options,
        )
        return PromptEmbeddings(*both)


def same(one: PromptEmbeddings, other: PromptEmbeddings) -> bool:
    parts = ("positive", "negative", "pooled", "negative_pooled")
    pairs = [(getattr(one, part), getattr(other, part)) for part in parts]
    return all(a is b is None or torch.equal(a, b) for a, b in pairs)


# Tokens


def test_emphasis_changes_no_token() -> None:
    tokenizer = build_tiny_tokenizer()
    plain = tokenize(tokenizer, parse("a cat, and the 고양이 undone")[0])
    told = tokenize(tokenizer, parse("a (cat:1.5), and [the 고양이] un(done)")[0])
    assert [token.number for token in told] == [token.number for token in plain]
    assert [token.number for token in plain] == tokenizer(
        "a cat, and the 고양이 undone", add_special_tokens=False
    ).input_ids


def test_every_token_carries_the_weight_of_its_text(models: dict[str, LoadedModel]) -> None:
    section = parse("a (cat:1.5), dog")[0]
    clip = tokenize(models["sd"].pipeline.tokenizer, section)
    assert [token.weight for token in clip] == [1, 1.5, *[1] * (len(clip) - 2)]
    t5 = models["flux"].pipeline.tokenizer_2
    heavy = [token.number for token in tokenize(t5, section) if token.weight != 1]
    assert t5.convert_ids_to_tokens(heavy) in (["▁", "c", "a", "t"], ["c", "a", "t"])


def tokens_of(letters: str) -> list[Token]:
    """A token per sign; a capital starts a word."""
    return [Token(0, 1.0, letter.isupper() or letter == ",", letter == ",") for letter in letters]


def lengths(letters: str, size: int) -> list[int]:
    return [len(chunk) for chunk in split(tokens_of(letters), size)]


def test_a_chunk_ends_at_a_comma_that_is_near_its_end() -> None:
    assert lengths("AAAAA,AAAAAA", 8) == [6, 6]


def test_a_chunk_without_a_near_comma_ends_before_a_word() -> None:
    assert lengths("A,AAAaaaaaAA", 10) == [10, 2]
    assert lengths("A,AAAAAaaaaa", 10) == [6, 6]


def test_a_word_longer_than_a_chunk_is_cut() -> None:
    assert lengths("A" + "a" * 24, 10) == [10, 10, 5]


@given(st.text(alphabet="Aa,", max_size=200), st.integers(1, 30))
def test_chunks_lose_no_token_and_are_never_too_long(letters: str, size: int) -> None:
    chunks = split(tokens_of(letters), size)
    assert list(chain(*chunks)) == tokens_of(letters)
    assert all(len(chunk) <= size for chunk in chunks)
    assert all(chunks) or not letters


# Embeddings


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("negative", ["a dog, the street", ""])
def test_a_short_prompt_is_embedded_as_diffusers_does(
    models: dict[str, LoadedModel], family: str, negative: str
) -> None:
    prompt = "a cat: red, blue - and the 고양이"
    assert same(
        embedded(models[family], prompt, negative), reference(models[family], prompt, negative)
    )


@pytest.mark.parametrize("family", BUILDERS)
def test_without_guidance_there_is_no_negative_side(
    models: dict[str, LoadedModel], family: str
) -> None:
    words = embedded(models[family], "a cat", "a dog", guided=False)
    assert words.negative is None
    assert words.negative_pooled is None
    assert torch.equal(words.positive, reference(models[family], "a cat", "").positive)


@pytest.fixture
def fresh(_models: dict[str, LoadedModel]) -> LoadedModel:
    """A Stable Diffusion of one's own, to be changed at will."""
    return load_model(_models["sd"].source, EngineConfig(device="cpu"))


def test_a_tokenizer_fills_up_with_its_own_padding(fresh: LoadedModel) -> None:
    fresh.pipeline.tokenizer.pad_token = "!"  # as Stable Diffusion 2 does
    told = embedded(fresh, "a cat", "a dog")
    assert same(told, reference(fresh, "a cat", "a dog"))


def test_a_smaller_window_means_smaller_chunks(fresh: LoadedModel) -> None:
    fresh.pipeline.tokenizer.model_max_length = 32
    assert same(embedded(fresh, "a cat", "a dog"), reference(fresh, "a cat", "a dog"))
    words = embedded(fresh, "cat, " * 20, guided=False)
    parts = [reference(fresh, "cat, " * count, "").positive for count in (15, 5)]
    assert torch.equal(words.positive, torch.cat(parts, dim=1))


def test_an_encoder_trained_with_a_mask_gets_one(fresh: LoadedModel) -> None:
    unmasked = embedded(fresh, "a cat").positive
    fresh.pipeline.text_encoder.config.use_attention_mask = True
    fresh.prompts.clear()
    masked = embedded(fresh, "a cat", "a dog")
    assert same(masked, reference(fresh, "a cat", "a dog"))
    assert not torch.equal(masked.positive, unmasked)


def test_a_learned_word_of_several_tokens_is_written_out(fresh: LoadedModel) -> None:
    pipe = fresh.pipeline
    pipe.tokenizer.add_tokens(["<ink>", "<ink>_1"])
    pipe.text_encoder.resize_token_embeddings(len(pipe.tokenizer))
    assert same(embedded(fresh, "a <ink> cat"), reference(fresh, "a <ink> cat", ""))
    told = tokenize(pipe.tokenizer, _converted(pipe, pipe.tokenizer, parse("a (<ink>:2)")[0]))
    assert [token.weight for token in told] == [1, 2, 2]


def test_sd3_without_its_t5_is_embedded_as_diffusers_does(
    models: dict[str, LoadedModel],
) -> None:
    whole = models["sd3"]
    absent = {"text_encoder_3": None, "tokenizer_3": None}
    pipe = StableDiffusion3Pipeline(**whole.pipeline.components | absent)
    model = LoadedModel(whole.source, pipe, pipe.scheduler, whole.device, whole.dtype)
    assert same(embedded(model, "a cat", "a dog"), reference(model, "a cat", "a dog"))


def test_sdxl_trained_on_empty_prompts_gets_an_empty_negative_one(
    models: dict[str, LoadedModel],
) -> None:
    model = models["sdxl"]
    assert not embedded(model, LONG).negative.any()  # type: ignore[union-attr]
    model.pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    try:
        told = embedded(model, "a cat")
        assert same(told, reference(model, "a cat", ""))
        assert told.negative is not None
        assert told.negative.any()
    finally:
        model.pipeline.register_to_config(force_zeros_for_empty_prompt=True)


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_a_long_prompt_is_the_row_of_its_chunks(
    models: dict[str, LoadedModel], family: str
) -> None:
    model = models[family]
    head, tail = "cat, " * 37, "cat, " * 23  # 74 and 46 tokens: the comma comes before 75
    words = embedded(model, LONG, "a dog")
    first, second = reference(model, head, "a dog"), reference(model, tail, "a dog")
    assert words.positive.shape[1] == 2 * WINDOW
    assert torch.equal(words.positive, torch.cat([first.positive, second.positive], dim=1))
    assert first.negative is not None
    assert words.negative is not None
    empty = reference(model, "", "x").positive
    assert torch.equal(words.negative, torch.cat([first.negative, empty], dim=1))
    assert first.pooled is None or torch.equal(words.pooled, first.pooled)  # type: ignore[arg-type]


def test_a_break_fills_the_rest_of_its_chunk(models: dict[str, LoadedModel]) -> None:
    model = models["sd"]
    words = embedded(model, "a cat BREAK a dog", guided=False)
    parts = [reference(model, part, "").positive for part in ("a cat", "a dog")]
    assert torch.equal(words.positive, torch.cat(parts, dim=1))


def test_sd3_reads_a_long_prompt_in_chunks_and_whole(models: dict[str, LoadedModel]) -> None:
    words = embedded(models["sd3"], "cat, " * 40, guided=False)
    assert words.positive.shape[1] == 2 * WINDOW + 256


@pytest.mark.parametrize(("family", "letters"), [("sd3", 300), ("flux", 600)])
def test_a_prompt_longer_than_t5_reads_is_refused(
    models: dict[str, LoadedModel], family: str, letters: int
) -> None:
    with pytest.raises(InvalidRequest, match="The negative prompt is too long"):
        embedded(models[family], "a cat", "c" * letters)


def test_a_prompt_of_too_many_chunks_is_refused(models: dict[str, LoadedModel]) -> None:
    embedded(models["sd"], " BREAK ".join(["cat"] * MOST_CHUNKS))
    with pytest.raises(InvalidRequest, match="The prompt is too long: it fills 11 parts"):
        embedded(models["sd"], " BREAK ".join(["cat"] * (MOST_CHUNKS + 1)))


@pytest.mark.parametrize("prompt", ["(cat:4.1)", "(cat:-1)", "(" * 16 + "cat" + ")" * 16])
def test_a_weight_out_of_bounds_is_refused(models: dict[str, LoadedModel], prompt: str) -> None:
    with pytest.raises(InvalidRequest, match="weights lie between 0 and 4"):
        embedded(models["sd"], prompt)


@pytest.mark.parametrize("family", BUILDERS)
def test_emphasis_scales_a_words_share_and_keeps_the_whole(
    models: dict[str, LoadedModel], family: str
) -> None:
    model = models[family]
    plain = embedded(model, "a cat on the mat", guided=False)
    told = embedded(model, "a (cat:1.5) on the mat", guided=False)
    changed = (told.positive / plain.positive)[0].nan_to_num(1.0).mean(dim=-1)
    assert (changed.max() / changed.min()).item() == pytest.approx(1.5, rel=0.02)
    whole = told.positive.abs().sum() / plain.positive.abs().sum()
    assert whole.item() == pytest.approx(1.0, rel=1e-4)
    assert told.pooled is plain.pooled is None or torch.equal(told.pooled, plain.pooled)  # type: ignore[arg-type]


def test_an_escaped_bracket_is_a_bracket_to_the_encoder(models: dict[str, LoadedModel]) -> None:
    model = models["sd"]
    told = embedded(model, r"a cat \(red\)", guided=False).positive
    assert torch.equal(told, reference(model, "a cat (red)", "").positive)


# Cache


def counts() -> tuple[int, int]:
    return COUNTS.hits, COUNTS.misses


def test_words_met_before_are_not_encoded_again(models: dict[str, LoadedModel]) -> None:
    model = models["sd"]
    first = embedded(model, "a cat", "a dog")
    hits, misses = counts()
    calls = []
    handle = model.pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    assert same(embedded(model, "a cat", "a dog"), first)
    assert counts() == (hits + 2, misses)
    assert not calls
    handle.remove()


def test_other_loras_mean_other_embeddings(models: dict[str, LoadedModel]) -> None:
    model = models["sd"]
    embedded(model, "a cat", guided=False)
    _, misses = counts()
    model.loras.worn = (LoraSource("ink", "ink.safetensors", 0.5),)
    try:
        embedded(model, "a cat", guided=False)
    finally:
        model.loras.worn = ()
    assert counts()[1] == misses + 1


def test_the_cache_forgets_what_was_used_least_recently() -> None:
    def entry() -> Tensor:
        return torch.zeros(10)  # 40 bytes

    cache = PromptCache(limit_bytes=100)
    kept = cache.get("a", entry)
    cache.get("b", entry)
    assert cache.get("a", entry) is kept
    cache.get("c", entry)
    assert cache.nbytes == 80
    assert cache.get("a", entry) is kept
    cache.get("huge", lambda: torch.zeros(1000))
    assert cache.nbytes == 0
    cache.get("a", entry)
    cache.clear()
    assert cache.nbytes == 0
