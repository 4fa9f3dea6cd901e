"""Scenes and their captions: one source for the picture and its words."""

from pathlib import Path

import numpy as np
import pytest

from worker.training.captions import Names, describe, particle_and, plural, with_article
from worker.training.concepts import COLOURS, STYLES, Colour, all_icons
from worker.training.icons import IconLibrary, MissingSource
from worker.training.judge import background_of
from worker.training.scenes import Layout, Scene, draw_scene, every_single, paint


def colour(slug: str) -> Colour:
    return next(c for c in COLOURS if c.slug == slug)


def test_the_same_seed_draws_the_same_scenes_and_words(packages: Path) -> None:
    def tell(seed: int) -> list[str]:
        rng, names = np.random.default_rng(seed), Names(packages)
        return [describe(draw_scene(rng, all_icons()), names, rng) for _ in range(50)]

    assert tell(3) == tell(3)
    assert tell(3) != tell(4)


def test_the_background_of_a_picture_is_the_scenes_colour(packages: Path) -> None:
    icons = IconLibrary(packages)
    for scene in every_single(["cat-face"]):
        picture = paint(scene, icons, 64)
        assert tuple(picture[0, 0]) == scene.background.rgb


def test_things_stand_where_the_layout_says(packages: Path) -> None:
    icons = IconLibrary(packages)
    places: tuple[tuple[Layout, int], ...] = (("left", 0), ("right", 1))
    for layout, side in places:
        scene = Scene(layout, ("cat-face",), STYLES[0], colour("white"))
        halves = np.array_split(paint(scene, icons, 128).astype(int), 2, axis=1)
        drawn = [bool((half != 255).any()) for half in halves]
        assert drawn[side]
        assert int((halves[side] != 255).sum()) > 20 * int((halves[1 - side] != 255).sum())


def test_every_concept_has_a_name_of_its_own_in_both_languages(packages: Path) -> None:
    names = Names(packages)
    for locale in ("en", "ko"):
        all_names = [name for icon in all_icons() for name in names.of(icon, locale)]
        assert len(all_names) == len(set(all_names))


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match="@iconify-json/noto"):
        IconLibrary(tmp_path).icon_set("noto")


@pytest.mark.parametrize(
    ("name", "many"),
    [("cat", "cats"), ("mouse", "mice"), ("fish", "fish"), ("cherry blossom", "cherry blossoms")],
)
def test_counts_use_the_plural(name: str, many: str) -> None:
    assert plural(name) == many


@pytest.mark.parametrize(
    ("name", "phrase"),
    [("owl", "an owl"), ("ufo", "a ufo"), ("umbrella", "an umbrella"), ("grapes", "grapes")],
)
def test_articles_follow_the_sound(name: str, phrase: str) -> None:
    assert with_article(name) == phrase


def test_korean_joins_nouns_by_their_last_syllable() -> None:
    assert particle_and("집") == "과"
    assert particle_and("고양이") == "와"


def test_the_judge_reads_the_background_from_the_rim(packages: Path) -> None:
    import torch

    icons = IconLibrary(packages)
    for background in COLOURS:
        picture = paint(Scene("single", ("sun",), STYLES[1], background), icons, 64)
        assert background_of(torch.from_numpy(picture).permute(2, 0, 1) / 255.0) == background.slug
