"""LoRAs in the catalog and in prompts."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.people import claim, make_lora, make_model, make_user, submit
from tests.recognition import names
from tests.recognition.headers import write_header
from webapp.accounts.models import User, UserGroup
from webapp.catalog import loras
from webapp.catalog.models import DiffusionModel, Lora
from webapp.catalog.services import STARTER
from webapp.core.errors import InvalidInput
from webapp.generation.models import Generation

pytestmark = pytest.mark.django_db
Manage = Callable[..., str]
LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
LOHA = {f"{LAYER}.hada_w{n}_{side}": (8, 8) for n in (1, 2) for side in "ab"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    words = {"ss_dataset_dirs": '{"10_foxy": {"n_repeats": 10}}', "modelspec.title": "Foxes"}
    return write_header(tmp_path / "My_Fox v2.safetensors", names.KOHYA, metadata=words)


# In prompts


@pytest.mark.parametrize(
    ("prompt", "told", "worn"),
    [
        ("a fox <lora:detail:0.8>", "a fox", {"detail": 0.8}),
        ("a fox <lora:Add_Detail>, dusk", "a fox, dusk", {"add-detail": 1.0}),
        ("<lora:detail:-1> a fox", "a fox", {"detail": -1.0}),
        ("(a fox:1.2) <LORA:a:1><lora:b:.5>", "(a fox:1.2)", {"a": 1.0, "b": 0.5}),
        ("a <b> fox", "a <b> fox", {}),
    ],
)
def test_a_tag_names_a_lora_and_is_not_told_to_the_model(
    prompt: str, told: str, worn: dict[str, float]
) -> None:
    assert loras.without_tags(prompt) == told
    assert loras.read_tags(prompt) == worn


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("<lora:detail:much>", "The weight of the LoRA “detail” must be a number from -4 to 4."),
        ("<lora:detail:5>", "The weight of the LoRA “detail” must be a number from -4 to 4."),
        ("<lora:detail:1:0.5>", "The weight of the LoRA “detail” must be a number from -4 to 4."),
        ("<lora:detail> <lora:Detail:1>", "The LoRA “Detail” stands twice in the prompt."),
        ("".join(f"<lora:n{n}>" for n in range(9)), "A prompt has 9 LoRAs; at most 8 are allowed."),
        ("<lora:unknown>", "There is no LoRA “unknown” for Tiny. On offer: detail."),
        ("<lora:>", "There is no LoRA “” for Tiny. On offer: detail."),
    ],
)
def test_what_a_tag_may_not_be_is_refused_in_a_sentence_and_nothing_is_queued(
    alice: User, offered_model: DiffusionModel, prompt: str, sentence: str
) -> None:
    make_lora()
    with pytest.raises(InvalidInput) as refused:
        submit(alice, offered_model, prompt=f"a fox {prompt}")
    assert (refused.value.sentence, refused.value.field) == (sentence, "prompt")
    assert not Generation.objects.exists()


def test_a_tag_in_the_negative_prompt_is_refused(
    alice: User, offered_model: DiffusionModel
) -> None:
    make_lora()
    with pytest.raises(InvalidInput, match="not in the negative prompt"):
        submit(alice, offered_model, negative_prompt="people <lora:detail>")


def test_what_is_claimed_has_the_loras_of_its_prompt_and_the_prompt_as_it_was_typed(
    alice: User, offered_model: DiffusionModel
) -> None:
    lora = make_lora()
    submit(alice, offered_model, prompt="a fox <lora:Detail:0.7>")
    claimed = claim(offered_model)
    assert claimed.asked.prompt == "a fox <lora:Detail:0.7>"
    assert claimed.loras == (
        loras.Worn("detail", 0.7, "/nowhere/detail.safetensors", lora.data_hash[:12]),
    )


def test_a_lora_that_went_while_its_image_waited_has_no_place(
    alice: User, offered_model: DiffusionModel
) -> None:
    make_lora()
    submit(alice, offered_model, prompt="a fox <lora:detail>")
    Lora.objects.all().delete()
    assert claim(offered_model).loras == (loras.Worn("detail", 1.0),)


def test_a_prompt_of_before_that_can_not_be_read_is_drawn_without(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    Generation.objects.update(prompt="a fox <lora:detail:much>")
    assert claim(offered_model).loras == ()


# What is on offer


def test_a_lora_is_for_models_of_its_family_and_version(alice: User) -> None:
    first, second = make_model("first", base="sd1"), make_model("second", base="sd2")
    unsaid, other = make_model("unsaid"), make_model("other", family="sdxl", base="sdxl")
    lora = make_lora(base="sd1")
    fitting = [model.slug for model in (first, second, unsaid, other) if lora.fits(model)]
    assert fitting == ["first", "unsaid"]
    with pytest.raises(InvalidInput, match="There is no LoRA “detail” for Second"):
        loras.check_loras("<lora:detail>", "", model=second, user=alice)


def test_no_lora_of_others_is_offered_for_the_built_in_model() -> None:
    lora = make_lora(base="sd1")
    assert not lora.fits(make_model("starter", **STARTER | {"enabled": True}))


def test_a_lora_may_be_for_some_groups_or_off(alice: User, offered_model: DiffusionModel) -> None:
    lora = make_lora()
    group = UserGroup.objects.create(name="Class")
    lora.groups.add(group)
    with pytest.raises(InvalidInput):
        submit(alice, offered_model, prompt="<lora:detail>")
    member = make_user("member", group=group)
    assert [one.slug for one in loras.list_loras_for(user=member)] == ["detail"]
    Lora.objects.update(enabled=False)
    assert not loras.list_loras_for(user=member)


# Files


def test_a_lora_is_added_like_a_model_and_offered_by_its_slug(
    manage_models: Manage, file: Path
) -> None:
    said = manage_models("add", file)
    assert "Added the LoRA my-fox-v2 (Stable Diffusion 1.x / 2.x)." in said
    lora = Lora.objects.get()
    assert (lora.name, lora.base, lora.trigger_words) == ("Foxes", "sd1", "foxy")
    assert not lora.enabled
    assert "on offer: <lora:my-fox-v2:1>" in manage_models("enable", "my-fox-v2")
    assert Lora.objects.get().enabled
    assert "on    my-fox-v2" in " ".join(manage_models("list").split(" "))
    assert "is disabled" in manage_models("disable", "my-fox-v2")
    assert not Lora.objects.get().enabled


def test_the_same_weights_are_not_added_twice_whatever_their_header_says(
    manage_models: Manage, file: Path, tmp_path: Path
) -> None:
    manage_models("add", file, "--enable")
    copy = write_header(tmp_path / "copy.safetensors", names.KOHYA, metadata={"a": "b"})
    assert loras.hash_of_data(copy) == loras.hash_of_data(file)
    assert "It is in the catalog already, as my-fox-v2." in manage_models("scan", tmp_path)
    assert Lora.objects.count() == 1


def test_the_hash_is_that_of_the_tensors_alone(file: Path) -> None:
    raw = file.read_bytes()
    header_bytes = int.from_bytes(raw[:8], "little")
    assert loras.hash_of_data(file) == hashlib.sha256(raw[8 + header_bytes :]).hexdigest()


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        (LOHA, "This kind is not supported."),
        ({"x.lora_A.weight": (4, 8), "x.lora_B.weight": (8, 4)}, "which models it is for."),
    ],
)
def test_a_kind_that_can_not_be_used_says_so(
    manage_models: Manage, tmp_path: Path, shapes: Any, sentence: str
) -> None:
    write_header(tmp_path / "x.safetensors", shapes)
    said = manage_models("scan", tmp_path)
    assert said.startswith("left out")
    assert said.strip().endswith(sentence)
    assert not Lora.objects.exists()
