"""What somebody does who marks the part of an image that is to be redrawn."""

import io
from collections.abc import Callable

import pytest
from PIL import Image as Picture
from playwright.sync_api import FloatRect, Locator, Page, expect

from tests.browser.visitors import LiveStudio, Visitors
from tests.people import make_model, make_user
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation, Upload
from webapp.generation.storage import read_file

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
SIDE_PX = 128
FIELDS = """() => Object.fromEntries(["mode", "start", "mask", "strength"].map(
    (name) => [name, document.getElementById("composer").elements[name].value]))"""
TOUCH = """([type, fingers, pointerType = "touch", pressure = 0.5]) => {
  const canvas = document.querySelector("[data-mask-view]");
  canvas.setPointerCapture = () => {};  // there is no such pointer to capture
  for (const [pointerId, clientX, clientY] of fingers) {
    canvas.dispatchEvent(new PointerEvent(type, {
      pointerId, clientX, clientY, pointerType, bubbles: true, buttons: 1, pressure,
    }));
  }
}"""


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model(steps=20)


@pytest.fixture
def page(open_page: Open, alice: User, tiny: DiffusionModel) -> Page:
    """A studio page with a start image of 128 pixels and the editor open."""
    opened = open_page("/", alice, viewport={"width": 1000, "height": 800})
    open_editor(opened)
    return opened


def open_editor(page: Page) -> None:
    file = io.BytesIO()
    Picture.new("RGB", (SIDE_PX, SIDE_PX), (60, 90, 160)).save(file, "PNG")
    picture = {"name": "blue.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.locator("#start").set_input_files(picture)  # type: ignore[arg-type]
    reopen(page)


def reopen(page: Page) -> None:
    page.locator("[data-mask-open]").click()
    expect(page.get_by_role("dialog", name="Paint what to redraw")).to_be_visible()


def canvas(page: Page) -> Locator:
    return page.locator("[data-mask-view]")


def box_of(page: Page) -> FloatRect:
    box = canvas(page).bounding_box()
    assert box is not None
    return box


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where on the page that share of the image is, while all of it is shown."""
    box = box_of(page)
    side = 0.94 * min(box["width"], box["height"])
    left = box["x"] + (box["width"] - side) / 2
    top = box["y"] + (box["height"] - side) / 2
    return left + x * side, top + y * side


def paint(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=6)
    page.mouse.up()


def set_slider(page: Page, name: str, value: int) -> None:
    page.get_by_role("slider", name=name).fill(str(value))


def share(page: Page) -> float:
    text = page.locator("[data-mask-coverage]").inner_text()
    return float(text.split(" ")[0])


def done(page: Page) -> None:
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Change what to redraw")).to_be_visible()


def uploaded_mask() -> Picture.Image:
    mask = Upload.objects.filter(kind=Upload.Kind.MASK).latest("created_at")
    return Picture.open(io.BytesIO(read_file(mask.file))).convert("L")


def at(mask: Picture.Image, x: float, y: float) -> int:
    return int(mask.getpixel((int(x * mask.width), int(y * mask.height))))  # type: ignore[arg-type]


def test_what_is_painted_is_white_in_the_mask_that_goes_up(page: Page) -> None:
    set_slider(page, "Size", 20)
    set_slider(page, "Softness", 0)
    paint(page, (0.25, 0.5), (0.75, 0.5))
    done(page)
    mask = uploaded_mask()
    assert mask.size == (SIDE_PX, SIDE_PX)
    assert [at(mask, x, 0.5) for x in (0.25, 0.5, 0.75)] == [255, 255, 255]
    assert [at(mask, *off) for off in ((0.1, 0.5), (0.9, 0.5), (0.5, 0.35), (0.5, 0.65))] == [0] * 4
    white = sum(mask.histogram()[128:])
    # A line of half the image's width and 20 pixels across, round at both ends.
    assert white == pytest.approx(64 * 20 + 3.14159 * 100, rel=0.04)
    asked = page.evaluate(FIELDS)
    assert (asked["mode"], asked["strength"]) == ("inpaint", "1")


def test_a_request_is_repainted_where_the_mask_says(page: Page) -> None:
    paint(page, (0.3, 0.3), (0.6, 0.6))
    done(page)
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-generation] .facts")).to_contain_text("inpainting")
    made = Generation.objects.get()
    assert made.mask == Upload.objects.get(kind="mask")
    assert made.start == Upload.objects.get(kind="start")


def test_the_eraser_takes_paint_away(page: Page) -> None:
    set_slider(page, "Size", 30)
    paint(page, (0.2, 0.5), (0.8, 0.5))
    page.get_by_role("radio", name="Eraser").check(force=True)
    paint(page, (0.5, 0.2), (0.5, 0.8))
    done(page)
    mask = uploaded_mask()
    assert (at(mask, 0.25, 0.5), at(mask, 0.5, 0.5), at(mask, 0.75, 0.5)) == (255, 0, 255)


def test_a_soft_brush_fades_towards_its_edge(page: Page) -> None:
    set_slider(page, "Size", 60)
    set_slider(page, "Softness", 100)
    paint(page, (0.5, 0.5), (0.5, 0.5))
    done(page)
    values = [at(uploaded_mask(), 0.5 + away, 0.5) for away in (0, 0.06, 0.12, 0.18, 0.3)]
    assert values[0] > 240
    assert values == sorted(values, reverse=True)
    assert 0 < values[2] < 255
    assert values[4] == 0


def test_undo_and_redo_go_through_all_that_was_done(page: Page) -> None:
    paint(page, (0.2, 0.2), (0.4, 0.2))
    one = share(page)
    paint(page, (0.2, 0.8), (0.8, 0.8))
    two = share(page)
    assert 0 < one < two
    page.keyboard.press("i")
    assert share(page) == pytest.approx(100 - two, abs=1)
    for wanted in (two, one, 0):
        page.keyboard.press("Control+z")
        assert share(page) == wanted
    expect(page.get_by_role("button", name="Undo", exact=True)).to_have_attribute(
        "aria-disabled", "true"
    )
    page.keyboard.press("Control+Shift+Z")
    page.keyboard.press("Control+y")
    assert share(page) == two
    page.get_by_role("button", name="Undo", exact=True).click()
    assert share(page) == one


def test_a_korean_layout_has_the_same_letters(page: Page) -> None:
    paint(page, (0.2, 0.2), (0.4, 0.2))
    painted = share(page)
    page.evaluate(
        "() => document.querySelector('dialog[open]').dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'ㅑ', code: 'KeyI', bubbles: true}))"
    )
    assert share(page) == pytest.approx(100 - painted, abs=1)


def test_inverting_swaps_what_is_kept_and_clearing_keeps_all(page: Page) -> None:
    page.get_by_role("button", name="Invert").click()
    assert share(page) == 100
    page.get_by_role("button", name="Clear").click()
    assert share(page) == 0
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("alert")).to_have_text("First paint over what should be redrawn.")
    assert not Upload.objects.filter(kind="mask").exists()


def test_the_keyboard_alone_paints(page: Page) -> None:
    said = page.locator("[data-mask-said]")
    set_slider(page, "Size", 32)
    canvas(page).focus()
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text("50 % across, 50 % down: kept")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    expect(said).to_have_text("38 % across, 50 % down: redrawn")
    page.keyboard.down("Enter")
    for _step in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.up("Enter")
    page.keyboard.press("ArrowLeft")
    done(page)
    mask = uploaded_mask()
    assert [at(mask, 0.375, y) for y in (0.5, 0.7, 0.875)] == [255, 255, 255]
    assert at(mask, 0.7, 0.5) == 0


def test_brackets_change_the_size_of_the_brush(page: Page) -> None:
    size = page.get_by_role("slider", name="Size")
    before = int(size.input_value())
    page.keyboard.press("]")
    assert int(size.input_value()) > before
    for _time in range(40):
        page.keyboard.press("[")
    expect(size).to_have_value("1")


def test_strokes_stay_where_they_are_whatever_the_zoom(page: Page) -> None:
    set_slider(page, "Size", 16)
    set_slider(page, "Softness", 0)
    paint(page, (0.25, 0.25), (0.25, 0.25))
    spot = place(page, 0.75, 0.75)
    page.mouse.move(*spot)
    page.mouse.wheel(0, -400)  # what is under the pointer stays under it
    page.mouse.down()
    page.mouse.up()
    page.keyboard.press("0")
    paint(page, (0.25, 0.75), (0.25, 0.75))
    done(page)
    mask = uploaded_mask()
    for x, y in ((0.25, 0.25), (0.75, 0.75), (0.25, 0.75)):
        assert at(mask, x, y) == 255
        assert at(mask, x + 0.1, y) == 0
    assert at(mask, 0.75, 0.25) == 0


@pytest.mark.parametrize("way", ["space", "middle", "shift"])
def test_moving_the_picture_moves_what_is_painted_next(page: Page, way: str) -> None:
    set_slider(page, "Size", 10)
    canvas(page).focus()
    x, y = place(page, 0.5, 0.5)
    if way == "shift":
        page.keyboard.press("Shift+ArrowLeft")  # looks 48 pixels further to the left
    else:
        page.mouse.move(x, y)
        if way == "space":
            page.keyboard.down(" ")
        page.mouse.down(button="middle" if way == "middle" else "left")
        page.mouse.move(x + 48, y)
        page.mouse.up(button="middle" if way == "middle" else "left")
        if way == "space":
            page.keyboard.up(" ")
    assert share(page) == 0
    page.mouse.click(x + 48, y)
    done(page)
    assert at(uploaded_mask(), 0.5, 0.5) == 255


def test_two_fingers_zoom_and_leave_no_paint(page: Page) -> None:
    x, y = place(page, 0.5, 0.5)
    page.evaluate(
        """() => { document.querySelector("[data-mask-view]").setPointerCapture = () => {}; }"""
    )
    page.evaluate(TOUCH, ["pointerdown", [[11, x - 20, y]]])
    assert page.evaluate(TOUCH, ["pointerdown", [[12, x + 20, y]]]) is None
    page.evaluate(TOUCH, ["pointermove", [[11, x - 80, y], [12, x + 80, y]]])
    page.evaluate(TOUCH, ["pointerup", [[11, x - 80, y], [12, x + 80, y]]])
    assert share(page) == 0
    set_slider(page, "Size", 8)
    set_slider(page, "Softness", 0)
    # Four times as large around the middle: so far out is a quarter of the way.
    side = place(page, 1, 0)[0] - place(page, 0, 0)[0]
    page.mouse.click(x + 0.4 * side, y)
    done(page)
    assert at(uploaded_mask(), 0.6, 0.5) == 255


def test_a_pen_that_is_pressed_harder_paints_a_little_wider(page: Page) -> None:
    widths = []
    for pressure in (0.1, 0.5, 1.0):
        x, y = place(page, 0.5, 0.5)
        for kind in ("pointerdown", "pointerup"):
            page.evaluate(TOUCH, [kind, [[7, x, y]], "pen", pressure])
        widths.append(share(page) ** 0.5)
        page.keyboard.press("Control+z")
    assert widths[0] < widths[1] < widths[2] < 2 * widths[0]


def test_the_end_of_a_pen_erases(page: Page) -> None:
    page.keyboard.press("i")
    x, y = place(page, 0.5, 0.5)
    page.evaluate(TOUCH.replace("buttons: 1", "buttons: 32"), ["pointerdown", [[7, x, y]], "pen"])
    page.evaluate(TOUCH, ["pointerup", [[7, x, y]], "pen"])
    assert share(page) < 100


def test_escape_cancels_and_changes_nothing(page: Page) -> None:
    before = page.evaluate(FIELDS)
    paint(page, (0.2, 0.5), (0.8, 0.5))
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate(FIELDS) == before
    assert not Upload.objects.filter(kind="mask").exists()
    reopen(page)
    assert share(page) == 0
    assert page.evaluate(FIELDS) == before


def test_an_opened_mask_is_there_again_and_can_be_taken_away(page: Page) -> None:
    paint(page, (0.2, 0.5), (0.8, 0.5))
    painted = share(page)
    done(page)
    page.reload()
    expect(page.locator("[data-start-preview]")).to_be_visible()
    reopen(page)
    assert share(page) == pytest.approx(painted, abs=0.2)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Redraw the whole image").click()
    asked = page.evaluate(FIELDS)
    assert (asked["mode"], asked["mask"], asked["strength"]) == ("image", "", "0.6")
    expect(page.get_by_role("button", name="Choose what to redraw")).to_be_focused()


def test_a_mask_that_did_not_go_up_is_said_and_can_be_sent_again(
    visitors: Visitors, page: Page
) -> None:
    visitors.expected.append("Failed to load resource")
    paint(page, (0.2, 0.5), (0.8, 0.5))
    page.route("**/uploads/", lambda route: route.abort())
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("is not responding")
    page.unroute("**/uploads/")
    done(page)
    assert Upload.objects.filter(kind="mask").count() == 1


def test_a_phone_has_room_for_the_picture_and_every_tool(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, **PHONE)
    page.get_by_role("button", name="Settings").click()
    open_editor(page)
    for name in ("Undo", "Redo", "Invert", "Clear", "Zoom in", "Cancel", "Done"):
        expect(
            page.get_by_role("dialog").get_by_role("button", name=name, exact=True)
        ).to_be_in_viewport(ratio=1)
    assert box_of(page)["height"] > 400
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.touchscreen.tap(*place(page, 0.5, 0.5))
    assert share(page) > 0
