"""What somebody sees who begins with an image of theirs."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffusers import DDIMScheduler
from PIL import Image as Picture
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.axe import bring_axe, look_at, write_list
from tests.browser.visitors import LiveStudio, Visitors
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation, Image, Upload
from worker.pipelines.samplers import build_scheduler

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PIPELINE = Path(__file__).resolve().parents[2] / "worker" / "starter" / "pipeline"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
FIELDS = """() => Object.fromEntries(["mode", "start", "mask", "strength", "parent"].map(
    (name) => [name, document.getElementById("composer").elements[name].value]))"""
HAND_IN = """([target, type, name, mime, base64, words]) => {
  const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
  const data = new DataTransfer();
  for (const [kind, text] of Object.entries(words ?? {})) data.setData(kind, text);
  data.items.add(new File([bytes], name, {type: mime}));
  const about = {bubbles: true, cancelable: true};
  const event = type === "paste" ? new ClipboardEvent(type, {...about, clipboardData: data})
    : new DragEvent(type, {...about, dataTransfer: data});
  document.querySelector(target).dispatchEvent(event);
}"""
DROP_TOO_MUCH = """() => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(21 * 1024 * 1024)], "large.png", {type: "image/png"}));
  document.body.dispatchEvent(new DragEvent("drop", {bubbles: true, dataTransfer: data}));
}"""
GREYS = """() => {
  const canvas = document.querySelector("[data-start-preview]");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return Array.from(data.filter((value, place) => place % 4 === 0));
}"""
LEVEL = """async (asked) => {
  const {firstLevel} = await import("darkroom/start/noise");
  const models = JSON.parse(document.getElementById("models").textContent);
  return firstLevel(models.starter.start_levels, asked);
}"""


def flat(side_px: int = 96, down_px: int | None = None) -> bytes:
    """A grey image, in which noise is all there is to see."""
    file = io.BytesIO()
    Picture.new("RGB", (side_px, down_px or side_px), (128, 128, 128)).save(file, "PNG")
    return file.getvalue()


def file_of(content: bytes, name: str = "grey.png", mime: str = "image/png") -> FilePayload:
    return {"name": name, "mimeType": mime, "buffer": content}


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def starter(live_studio: LiveStudio) -> DiffusionModel:
    return make_model("starter", location=str(PIPELINE), steps=20)


def pick(page: Page, content: bytes | None = None) -> None:
    page.locator("#start").set_input_files(file_of(content or flat()))
    expect(page.locator("[data-start-preview]")).to_be_visible()


def hand_in(page: Page, kind: str, content: bytes, *, on: str = "#prompt", **words: str) -> None:
    coded = base64.b64encode(content).decode()
    texts = {name.replace("_", "/", 1).replace("_", "-"): text for name, text in words.items()}
    page.evaluate(HAND_IN, [on, kind, "grey.png", "image/png", coded, texts])


def fields(page: Page) -> dict[str, str]:
    read: dict[str, str] = page.evaluate(FIELDS)
    return read


def spread(page: Page) -> float:
    """How far the preview's values lie from their mean."""
    values: list[int] = page.evaluate(GREYS)
    mean = sum(values) / len(values)
    return float((sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5)


def choose_strength(page: Page, percent: int) -> None:
    page.get_by_label("Strength", exact=True).fill(str(percent))
    page.get_by_label("Strength", exact=True).blur()


def test_a_model_that_draws_from_words_alone_offers_no_start_image_and_keeps_the_one_that_is_there(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    make_model("whole", family="other", sampler="own", steps=9)
    page = open_page("/", alice)
    panel, shortcut = page.locator("[data-start]"), page.locator("[data-start-shortcut]")
    pick(page)
    page.get_by_label("Model", exact=True).select_option("whole")
    for part in (panel, shortcut):
        expect(part).to_be_hidden()
    expect(page.get_by_label("Sampler").locator("option")).to_have_text(["Model default"])
    hand_in(page, "paste", flat(64))
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-generation]")).to_have_count(1)
    drawn = Generation.objects.get()
    assert (drawn.mode, drawn.start, drawn.sampler) == ("text", None, "own")
    page.get_by_label("Model", exact=True).select_option("starter")
    for part in (panel, shortcut):
        expect(part).to_be_visible()
    assert Upload.objects.count() == 1
    assert fields(page)["start"] == str(Upload.objects.get().pk)


def test_a_picked_picture_is_drawn_from(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    pick(page)
    expect(page.locator("[data-start-size]")).to_have_text("96 × 96")
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    page.locator(".bar [data-go]").click()
    group = page.locator("[data-generation]")
    expect(group.get_by_role("img", name="The start image of this request")).to_be_visible()
    expect(group.locator(".facts")).to_contain_text("image to image")
    made, upload = Generation.objects.get(), Upload.objects.get()
    assert (made.mode, made.start, made.strength, made.parent) == ("image", upload, 0.6, None)
    assert upload.owner == alice


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted_anywhere_becomes_the_start(
    open_page: Open, alice: User, starter: DiffusionModel, kind: str
) -> None:
    page = open_page("/", alice)
    hand_in(page, kind, flat(80))
    expect(page.locator("[data-start-size]")).to_have_text("80 × 80")
    assert fields(page)["start"] == str(Upload.objects.get().pk)


def test_words_with_a_image_of_them_are_pasted_as_words(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    hand_in(page, "paste", flat(), text_plain="a fox")
    hand_in(page, "paste", flat(64), on="body", text_plain="a fox")
    expect(page.locator("[data-start-size]")).to_have_text("64 × 64")
    assert Upload.objects.count() == 1


def test_an_own_picture_is_taken_where_it_is_dropped_on_the_panel(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    image = draw(alice, starter)
    page = open_page("/", alice)
    link = f"{page.url}images/{image.pk}/"
    hand_in(page, "drop", flat(), text_uri_list=link)
    assert not Upload.objects.exists()
    hand_in(page, "drop", flat(), on="[data-start-drop]", text_uri_list=link)
    expect(page.locator("[data-start-preview]")).to_be_visible()
    assert fields(page)["parent"] == str(image.pk)


def test_the_page_lights_up_while_a_picture_is_dragged_over_it(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    lit = page.locator("html[data-dropping]")
    hand_in(page, "dragenter", flat())
    expect(lit).to_be_attached()
    hand_in(page, "dragleave", flat())
    expect(lit).not_to_be_attached()


def test_a_file_that_is_no_picture_is_refused_in_a_sentence(
    visitors: Visitors, alice: User, starter: DiffusionModel
) -> None:
    visitors.expect_status(400)
    page = visitors.open("/", alice)
    page.locator("#start").set_input_files(file_of(b"only words", "picture.png"))
    expect(page.locator("#wrong-start")).to_contain_text("can't be read as an image")
    expect(page.locator("#start")).to_be_focused()
    expect(page.get_by_text("choose an image")).to_be_visible()
    assert fields(page)["mode"] == "text"
    pick(page)
    expect(page.locator("#wrong-start")).to_be_hidden()


def test_a_file_that_is_too_large_never_leaves_the_page(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    page.evaluate(DROP_TOO_MUCH)
    expect(page.locator("#wrong-start")).to_contain_text("21.0 MB; at most 20 MB are allowed")
    assert not any(one.startswith("POST") for one in sent)


def test_a_reload_keeps_the_picture_and_its_strength(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    pick(page)
    choose_strength(page, 35)
    before = fields(page)
    page.reload()
    expect(page.locator("[data-start-preview]")).to_be_visible()
    expect(page.get_by_label("Strength", exact=True)).to_have_value("35")
    assert fields(page) == before == {**before, "mode": "image", "strength": "0.35"}


def test_removing_it_draws_from_words_again_and_undo_puts_it_back(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    pick(page)
    choose_strength(page, 45)
    before = fields(page)
    page.get_by_role("button", name="Remove the start image").click()
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_focused()
    assert set(fields(page).values()) == {"text", ""}
    page.keyboard.press("Enter")
    expect(page.locator("[data-start-preview]")).to_be_visible()
    assert fields(page) == before


def test_a_stronger_strength_shows_more_noise_and_says_so(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    pick(page)
    says, seen = page.locator("[data-start-says]"), []
    for percent, words in ((10, "Details"), (30, "half"), (100, "from noise")):
        choose_strength(page, percent)
        expect(says).to_contain_text(words)
        expect(says).to_contain_text(f"{percent // 5} of 20 steps run.")
        seen.append(spread(page))
    assert seen == sorted(seen)
    assert seen[0] < 50 < 80 < seen[2]
    page.get_by_label("Strength slider").press("Home")
    expect(page.get_by_label("Strength", exact=True)).to_have_value("5")
    page.get_by_label("Steps", exact=True).fill("4")
    expect(says).to_have_text(
        "At this strength none of the 4 steps is left. Raise the strength or the steps."
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("sampler", ["ddim", "euler_a", "dpmpp_2m_karras", "unipc", "euler_beta"])
def test_the_noise_shown_is_that_of_the_first_step_that_is_drawn(
    open_page: Open, alice: User, starter: DiffusionModel, sampler: str
) -> None:
    page = open_page("/", alice)
    trained = DDIMScheduler.from_pretrained(PIPELINE / "scheduler")
    scheduler = build_scheduler(trained, sampler, steps=20)
    scheduler.set_timesteps(20)
    for strength in (0.2, 0.5, 0.85, 1.0):
        left = scheduler.timesteps[(20 - int(20 * strength)) :]
        shown = page.evaluate(LEVEL, {"steps": 20, "strength": strength, "sampler": sampler})
        assert shown["kept"] == len(left)
        assert shown["signal"] == pytest.approx(true_signal(scheduler, left[0]), abs=0.01)


def true_signal(scheduler: Any, time: Any) -> float:
    """The image's factor in what diffusers itself makes of an image of ones and no noise."""
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is None:
        return float(scheduler.alphas_cumprod[int(time)] ** 0.5)
    sigma = float(sigmas[list(scheduler.timesteps).index(time)])
    return float((1 + sigma**2) ** -0.5)


def test_a_wide_picture_asks_for_a_wide_shape(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    pick(page, flat(160, 90))
    expect(page.locator("[data-shape-text]")).to_contain_text("16 : 9")
    expect(page.locator("[data-start-cut]")).to_be_hidden()
    page.get_by_label("Aspect ratio").press("Home")
    expect(page.locator("[data-start-cut]")).to_be_visible()


def draw(owner: User, model: DiffusionModel) -> Image:
    made = submit(owner, model)
    assert finish(claim(model))
    return made.images.get()


def test_an_image_of_mine_becomes_the_start_with_its_words(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    image = draw(alice, starter)
    page = open_page(f"/?start={image.pk}", alice)
    expect(page.locator("[data-start-preview]")).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a fox at dusk")
    assert fields(page)["parent"] == str(image.pk)
    page.reload()
    expect(page.locator("[data-start-preview]")).to_be_visible()
    assert fields(page)["parent"] == str(image.pk)


def test_editing_an_image_opens_the_mask_at_once(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page(f"/?edit={draw(alice, starter).pk}", alice)
    expect(page.get_by_role("dialog", name="Paint what to redraw")).to_be_visible()


def test_a_start_that_is_not_kept_any_more_is_said(
    visitors: Visitors, alice: User, starter: DiffusionModel
) -> None:
    page = visitors.open("/", alice)
    pick(page)
    Upload.objects.all().delete()
    visitors.expect_status(404)
    page.reload()
    expect(page.locator("#wrong-start")).to_contain_text("no longer exists")
    assert fields(page)["mode"] == "text"


def test_an_image_made_from_a_picture_brings_it_back_with_its_settings(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice)
    pick(page)
    choose_strength(page, 35)
    page.get_by_label("Prompt", exact=True).fill("a fox")
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-image]")).to_have_count(4)
    page.get_by_role("button", name="Remove the start image").click()
    page.get_by_role("link", name="Reuse these settings").first.click()
    expect(page.locator("[data-start-preview]")).to_be_visible()
    expect(page.get_by_label("Strength", exact=True)).to_have_value("35")


def test_neither_the_panel_nor_the_editor_has_a_barrier(
    visitors: Visitors, alice: User, starter: DiffusionModel
) -> None:
    context = visitors.context(alice)
    bring_axe(context)
    page = visitors.tab(context, "/")
    pick(page)
    page.locator("[data-mask-open]").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("i")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("button", name="Change what to redraw")).to_be_visible()
    assert write_list(look_at(page, "/")) == ""


def test_a_phone_shows_the_picture_beside_generate(
    open_page: Open, alice: User, starter: DiffusionModel
) -> None:
    page = open_page("/", alice, **PHONE)
    shortcut = page.get_by_role("button", name="Start image", exact=True)
    with page.expect_file_chooser() as chooser:
        shortcut.click()
    chooser.value.set_files(file_of(flat()))
    expect(shortcut.locator("img")).to_be_visible()
    shortcut.click()
    expect(page.get_by_label("Strength", exact=True)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_studio_weighs_less_than_200_kb_without_its_pictures(
    visitors: Visitors, alice: User, starter: DiffusionModel
) -> None:
    context = visitors.context(alice)
    page, weights = context.new_page(), {}

    def weigh(response: Any) -> None:
        kind = response.request.resource_type
        if kind not in {"image", "font", "eventsource"}:
            weights[response.url] = response.request.sizes()["responseBodySize"]

    page.on("requestfinished", lambda request: weigh(request.response()))
    page.goto("/")
    expect(page.locator("html[data-stream=open]")).to_be_attached()
    assert not any("/mask/" in url for url in weights)
    assert sum(weights.values()) < 200_000
