"""How an image develops: the sentences, the noised images, and the page that shows both."""

import io
import uuid
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import Client
from PIL import Image as Picture
from PIL import ImageStat

from tests.pages import serve_plain_static
from tests.people import STRIP_STEPS, claim, finish, make_model, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.schedules import Level, build_schedule
from webapp.gallery import development_page
from webapp.gallery.development import build_strip
from webapp.gallery.development_page import SAMPLE, draw_curve, place_dots
from webapp.generation.models import Generation, Image
from webapp.pixels.noising import draw_noising

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]
STARTER = Path(__file__).resolve().parents[2] / "worker" / "starter" / "pipeline"
LINEAR = build_schedule({"beta_schedule": "linear"})


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def starter(db: None) -> DiffusionModel:
    """A model whose schedule lies on the disk."""
    return make_model("starter", location=str(STARTER))


def draw(owner: User, model: DiffusionModel, prompt: str = "a fox at dusk") -> Image:
    made = submit(owner, model, prompt=prompt)
    assert finish(claim(model))
    return made.images.get()


def request_of(family: str = "sd", mode: str = "text") -> Generation:
    model = DiffusionModel(family=family)
    return Generation(model=model, mode=mode, width_px=96, height_px=64)


def test_a_frame_says_its_step_its_noise_and_what_happened() -> None:
    strip = build_strip(STRIP_STEPS, schedule=LINEAR, generation=request_of())
    names = [frame.name for frame in strip.frames]
    assert names == [
        "Before the first step, 100 % noise",
        "Step 1 of 4, 100 % noise",
        "Step 2 of 4, 92 % noise",
        "Step 3 of 4, 48 % noise",
        "The finished image",
    ]
    first, _second, third, fourth, last = [frame.what for frame in strip.frames]
    assert "text encoder" in first
    assert "Large shapes" in third
    assert "the U-Net" in third
    assert "composition" in fourth
    assert "VAE" in last
    assert (strip.middle.step, strip.width_px) == (3, 5 * 96)
    assert [frame.time_words for frame in strip.frames] == ["999", "749", "499", "249", "–"]
    assert strip.last.level == Level(0, 1, 0)


def test_a_transformer_is_not_called_a_u_net_and_a_start_picture_is_named() -> None:
    steps = ((0, 800.0), (1, 100.0), (2, 0.0))
    flow = build_schedule({"_class_name": "FlowMatchEulerDiscreteScheduler"})
    strip = build_strip(steps, schedule=flow, generation=request_of("flux", "image"))
    assert "start image" in strip.frames[0].what
    assert "the transformer" in strip.frames[1].what
    assert strip.frames[1].level is not None
    assert strip.frames[1].level.signal == pytest.approx(0.9)


def test_what_is_not_known_is_not_said() -> None:
    steps = [(0, None), (2, None), (4, None)]
    strip = build_strip(steps, schedule=LINEAR, generation=request_of())
    assert [frame.name for frame in strip.frames][:2] == ["Before the first step", "Step 2 of 4"]
    assert strip.frames[1].time_words == strip.frames[1].noise_percent == ""
    unknown = build_strip(STRIP_STEPS, schedule=None, generation=request_of())
    assert {frame.level for frame in unknown.frames} == {None}
    assert unknown.middle.step == 2


def test_noise_is_mixed_in_as_the_schedule_says() -> None:
    grey, strip = io.BytesIO(), io.BytesIO()
    Picture.new("RGB", (64, 64), (192, 192, 192)).save(grey, "PNG")
    Picture.new("RGB", (192, 64)).save(strip, "WEBP")
    asked = grey.getvalue(), strip.getvalue(), [(1, 0), (0.8, 0.2), (0.0, 0.25)]
    body = draw_noising(*asked)
    assert body == draw_noising(*asked)
    sheet = Picture.open(io.BytesIO(body)).convert("RGB")
    assert sheet.size == (192, 64)
    frames = [sheet.crop((64 * place, 0, 64 * place + 64, 64)) for place in range(3)]
    means = [ImageStat.Stat(frame).mean[1] for frame in frames]
    spread = [ImageStat.Stat(frame.convert("L")).stddev[0] for frame in frames]
    assert means == pytest.approx([192, 127.5 + 0.8 * 64.5, 127.5], abs=5)
    assert spread[0] < 1 < spread[1] < spread[2]


def test_the_curve_rises_from_image_to_noise_and_holds_the_dots() -> None:
    assert LINEAR is not None
    points = [tuple(map(float, point.split(","))) for point in draw_curve(LINEAR).split()]
    heights = [y for _x, y in points]
    assert heights == sorted(heights, reverse=True)
    assert points[-1] == (100.0, 0.0)
    assert place_dots(LINEAR, [LINEAR.level(500)]) == [
        ("50.00", f"{100 * LINEAR.alpha_bar(500):.2f}")
    ]


def test_who_has_no_picture_sees_the_sample(as_alice: Client) -> None:
    page = as_alice.get("/development/").content.decode()
    assert "Once you have an image of your own" in page
    assert "a panda on a sky blue background" in page
    assert "Step 14 of 20" in page
    strip = as_alice.get("/development/strip/")
    assert strip.content == (SAMPLE / "strip.webp").read_bytes()
    noising = as_alice.get("/development/noising/")
    sizes = [Picture.open(io.BytesIO(one.content)).size for one in (strip, noising)]
    assert sizes[0] == sizes[1]
    assert noising["Cache-Control"] == "private, no-store"


def test_ones_newest_picture_is_shown_and_an_older_one_where_it_is_asked_for(
    as_alice: Client, alice: User, starter: DiffusionModel
) -> None:
    older, newer = draw(alice, starter, "an owl"), draw(alice, starter, "a cat")
    page = as_alice.get("/development/").content.decode()
    assert "a cat" in page
    assert f"/images/{newer.pk}/strip/" in page
    assert f"/development/noising/?image={newer.pk}" in page
    assert "an owl" in as_alice.get(f"/development/?image={older.pk}").content.decode()


def test_the_noised_picture_is_drawn_once(
    as_alice: Client, alice: User, starter: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = draw(alice, starter)
    first = as_alice.get(f"/development/noising/?image={image.pk}").content
    monkeypatch.setattr(development_page, "ask_child", None)
    assert as_alice.get(f"/development/noising/?image={image.pk}").content == first


def test_a_picture_whose_schedule_is_unknown_gives_way_to_the_sample(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    assert "a panda on a sky blue background" in as_alice.get("/development/").content.decode()
    page = as_alice.get(f"/development/?image={image.pk}").content.decode()
    assert "No previews of that image were kept" in page


def test_strangers_and_nonsense_find_nothing(
    client: Client, alice: User, bob: User, starter: DiffusionModel
) -> None:
    image = draw(alice, starter)
    client.force_login(bob)
    for asked in (image.pk, uuid.uuid4(), "1", "'"):
        for name in ("", "noising/"):
            assert client.get(f"/development/{name}?image={asked}").status_code == 404
