"""Scenes and their captions: one source for the image and its words."""

from pathlib import Path

import numpy as np
import pytest
import torch

from worker.training.captions import describe, plural, with_article
from worker.training.concepts import COLOUR_BY_SLUG, COLOURS, STYLE_BY_SLUG, STYLES
from worker.training.finishes import main_hue
from worker.training.icons import IconLibrary, MissingSource
from worker.training.judge import background_of
from worker.training.korean import particle_and, with_particles
from worker.training.scenes import Layout, Scene, Stage
from worker.training.things import all_things


def test_the_same_seed_draws_the_same_scenes_and_words(stage: Stage) -> None:
    def tell(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [describe(stage.draw(rng), rng) for _ in range(50)]

    assert tell(3) == tell(3)
    assert tell(3) != tell(4)


def test_the_background_of_a_picture_is_the_scenes_colour(stage: Stage) -> None:
    for background in COLOURS:
        scene = stage.draw(np.random.default_rng(1), layout="single", background=background)
        assert tuple(stage.paint(scene, 64)[0, 0]) == background.rgb


def test_things_stand_where_the_layout_says(stage: Stage) -> None:
    places: tuple[tuple[Layout, int], ...] = (("left", 0), ("right", 1))
    for layout, side in places:
        scene = stage.draw(
            np.random.default_rng(2), layout=layout, things=("cat",), background=COLOURS[0]
        )
        halves = np.array_split(stage.paint(scene, 128).astype(int), 2, axis=1)
        drawn = [int((half != 255).sum()) for half in halves]
        assert drawn[side] > 20 * drawn[1 - side]


def test_two_drawings_of_a_thing_differ_in_place_size_turn_or_side(stage: Stage) -> None:
    rng = np.random.default_rng(3)
    poses = {stage.draw(rng, layout="single", things=("cat",)).poses for _ in range(20)}
    assert len(poses) == 20


def test_several_of_a_thing_are_drawn_alike(stage: Stage) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        poses = stage.draw(rng, layout="count").poses
        assert len({(pose.icon_set, pose.icon, pose.colour) for pose in poses}) == 1


@pytest.mark.parametrize("slug", ["red", "green", "blue", "purple", "black"])
def test_a_thing_takes_the_colour_that_is_named(stage: Stage, slug: str) -> None:
    colour = COLOUR_BY_SLUG[slug]
    painted = stage.paint(_coloured_car(stage, slug), 64)
    middle = np.median(painted[24:40, 24:40].reshape(-1, 3), axis=0)
    palette = np.array([one.rgb for one in COLOURS])
    nearest = COLOURS[int(((palette - middle) ** 2).sum(axis=1).argmin())]
    assert nearest.slug == colour.slug


def _coloured_car(stage: Stage, colour: str) -> Scene:
    return stage.draw(
        np.random.default_rng(5),
        layout="single",
        things=("car",),
        style=STYLE_BY_SLUG["flat"],
        background=COLOUR_BY_SLUG["white"],
        colour=colour,
    )


def test_a_grey_drawing_has_no_main_colour() -> None:
    assert main_hue(np.full((32, 32, 4), (120, 120, 120, 255), dtype=np.uint8)) is None
    assert main_hue(np.full((32, 32, 4), (200, 40, 40, 255), dtype=np.uint8)) is not None


def test_pixel_art_has_pixels_of_eight(stage: Stage) -> None:
    scene = stage.draw(np.random.default_rng(6), style=STYLE_BY_SLUG["pixel art"])
    picture = stage.paint(scene, 256)
    assert (picture == picture[::8, ::8].repeat(8, axis=0).repeat(8, axis=1)).all()


def test_every_thing_is_shown_in_every_style(stage: Stage) -> None:
    for thing in all_things():
        assert all(stage.drawings(thing.slug, style) for style in STYLES)


def test_no_two_things_share_a_name() -> None:
    names = {
        (locale, name): thing.slug
        for thing in all_things()
        for locale, known in thing.names.items()
        for name in known
    }
    assert len(names) == sum(len(known) for thing in all_things() for known in thing.names.values())


def test_there_are_three_hundred_things_and_more() -> None:
    assert len(all_things()) >= 300


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


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("고양이{이가} 있는 그림", "고양이가 있는 그림"),
        ("집{이가} 있는 그림", "집이 있는 그림"),
        ("사슴{을를} 그려줘", "사슴을 그려줘"),
        ("나비{은는} 가운데에", "나비는 가운데에"),
    ],
)
def test_korean_particles_follow_the_last_syllable(written: str, read: str) -> None:
    assert with_particles(written) == read


@pytest.mark.parametrize(
    ("thing", "counted"),
    [
        ("cat", "고양이 두 마리"),
        ("book", "책 두 권"),
        ("car", "자동차 두 대"),
        ("tree", "나무 두 그루"),
        ("rose", "장미 두 송이"),
        ("house", "집 두 채"),
        ("apple", "사과 두 개"),
    ],
)
def test_korean_counts_each_thing_with_its_own_counter(
    stage: Stage, thing: str, counted: str
) -> None:
    rng = np.random.default_rng(7)
    scene = stage.draw(rng, layout="count", things=(thing, thing), colour="")
    captions = [describe(scene, rng) for _ in range(300)]
    assert any(counted in caption for caption in captions)


def test_the_judge_reads_the_background_from_the_rim(stage: Stage) -> None:
    for background in COLOURS:
        scene = stage.draw(np.random.default_rng(8), layout="single", background=background)
        picture = torch.from_numpy(stage.paint(scene, 64)).permute(2, 0, 1) / 255.0
        assert background_of(picture) == background.slug
