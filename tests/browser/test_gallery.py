"""The wall under somebody's hands: mouse, keyboard, phone, and without scripts."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.bench.wall import hang_pictures
from tests.browser.visitors import LiveStudio, Visitors, wait_for
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.gallery.models import Collection
from webapp.generation.models import Image

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
SHIFTS = """new Promise((resolve) => new PerformanceObserver((list) => resolve(
    list.getEntries().filter((one) => !one.hadRecentInput).reduce((sum, one) => sum + one.value, 0)
)).observe({ type: "layout-shift", buffered: true }) || setTimeout(() => resolve(0), 500))"""

# Where a tile stood when the page was left, and whether it stands there again: lists that are laid
# out late move it about until the wall has let go of it.
REMEMBER_TOP = """(image) => addEventListener("pagehide", () => sessionStorage.setItem(
    "top", document.querySelector(`[data-image="${image}"]`).getBoundingClientRect().top))"""
STANDS_WHERE_IT_WAS = """(image) => Math.abs(sessionStorage.getItem("top") - document
        .querySelector(`[data-image="${image}"]`).getBoundingClientRect().top) < 8"""


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def draw(owner: User, model: DiffusionModel, *prompts: str) -> list[Image]:
    """Finished images, the last one drawn first on the wall."""
    for prompt in prompts:
        submit(owner, model, prompt=prompt)
        assert finish(claim(model))
    return list(Image.objects.filter(owner=owner).order_by("finished_at"))


def hang(owner: User, model: DiffusionModel, pictures: int) -> None:
    """Many images, all with the files of one that was drawn."""
    [drawn] = draw(owner, model, "the first")
    hang_pictures(owner=owner, model=model, pictures=pictures)
    Image.objects.update(file=drawn.file, thumbnail=drawn.thumbnail)


def prompts(page: Page) -> list[str]:
    return [
        str(alt) for alt in page.locator(".wall img").evaluate_all("all => all.map(i => i.alt)")
    ]


def go_down(page: Page, tiles: int) -> None:
    """Scrolls to the end until that many tiles hang there; more may come by themselves."""
    for _time in range(20):
        if page.locator(".tile").count() >= tiles:
            return
        page.keyboard.press("End")
        page.wait_for_timeout(500)
    pytest.fail(f"{page.locator('.tile').count()} tiles instead of {tiles}")


def test_binning_is_undone_in_place(open_page: Open, alice: User, tiny: DiffusionModel) -> None:
    draw(alice, tiny, "one", "two", "three")
    page = open_page("/gallery/", alice)
    page.get_by_label("Select: two").check(force=True)
    page.get_by_role("button", name="Move to the bin").click()
    expect(page.locator(".tile")).to_have_count(2)
    expect(page.get_by_text("1 image is in the bin.")).to_be_visible()
    expect(page.locator("[data-total]")).to_contain_text("2")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".tile")).to_have_count(3)
    assert prompts(page) == ["three", "two", "one"]
    assert not Image.objects.filter(binned_at__isnull=False).exists()


def test_the_keyboard_walks_selects_marks_and_bins(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, *"abcdefgh")
    page = open_page("/gallery/", alice)
    page.locator(".tile .open").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.keyboard.press("f")
    expect(page.locator(".is-favourite")).to_have_count(3)
    expect(page.get_by_text("3 new favourites.")).to_be_visible()
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("document.activeElement.closest('.tile').querySelector('img').alt")
    assert focused in {"a", "b"}
    page.keyboard.press("Delete")
    expect(page.locator(".tile")).to_have_count(7)
    assert [one.generation.prompt for one in Image.objects.filter(binned_at__isnull=False)] == [
        focused
    ]
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(page.locator(".tile.selected")).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Search my images")).to_be_focused()


def test_shift_and_a_click_select_a_range(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, *"abcdef")
    page = open_page("/gallery/", alice)
    page.locator(".tick").nth(1).click()
    page.locator(".tile .open").nth(4).click(modifiers=["Shift"])
    expect(page.get_by_text("4 selected")).to_be_visible()
    # While something is selected a click selects; afterwards it opens.
    page.locator(".tile .open").nth(0).click()
    expect(page.get_by_text("5 selected")).to_be_visible()
    page.get_by_role("button", name="Clear the selection").click()
    page.locator(".tile .open").nth(0).click()
    page.wait_for_url("**/images/**")


def test_all_of_a_search_is_selected_beyond_what_is_loaded(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    hang(alice, tiny, 130)
    page = open_page("/gallery/?q=light", alice)
    page.locator(".tick").first.click()
    page.get_by_role("button", name="Select all 130").click()
    expect(page.get_by_text("130 selected")).to_be_visible()
    page.get_by_role("button", name="Move to the bin").click()
    expect(page.get_by_role("heading", name="No matching images")).to_be_visible()
    assert Image.objects.filter(binned_at__isnull=False).count() == 130


def test_the_star_goes_back_where_the_server_says_no(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    visitors.expect_status(404)
    [image] = draw(alice, tiny, "a fox")
    page = visitors.open("/gallery/", alice)
    star = page.get_by_role("button", name="Favourite", exact=True).first
    star.click(force=True)
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".is-favourite")).to_have_count(1)
    page.wait_for_timeout(300)
    assert Image.objects.get().is_favourite
    image.delete()
    star.click(force=True)
    expect(page.get_by_text("Nothing was found here.")).to_be_visible()
    expect(star).to_have_attribute("aria-pressed", "true")


def test_pictures_go_into_a_new_collection_and_out_again(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, "a fox", "an owl")
    page = open_page("/gallery/", alice)
    page.get_by_label("Select: a fox").check(force=True)
    page.get_by_role("button", name="Add to a collection").click()
    page.get_by_label("New collection").fill("Foxes")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("The collection Foxes was created.")).to_be_visible()
    page.get_by_role("link", name="Collections").click()
    page.get_by_role("link", name="Foxes").click()
    assert prompts(page) == ["a fox"]
    page.get_by_label("Select: a fox").check(force=True)
    page.get_by_role("button", name="Remove from this collection").click()
    expect(page.get_by_role("heading", name="This collection is empty")).to_be_visible()
    assert Collection.objects.get().items.count() == 0
    assert Image.objects.filter(binned_at=None).count() == 2


def test_deleting_for_good_asks_first(open_page: Open, alice: User, tiny: DiffusionModel) -> None:
    draw(alice, tiny, "a fox")
    page = open_page("/gallery/", alice)
    page.locator(".tile .open").focus()
    page.keyboard.press("Delete")
    page.get_by_role("link", name="Bin").click()
    page.get_by_label("Select: a fox").check(force=True)
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("button", name="Keep them").click()
    expect(page.locator(".tile")).to_have_count(1)
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("heading", name="The bin is empty")).to_be_visible()


def test_a_zip_comes_of_what_is_selected(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, "a fox", "an owl")
    page = open_page("/gallery/", alice)
    page.get_by_label("Select: a fox").check(force=True)
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download as a zip").click()
    assert coming.value.suggested_filename.startswith("darkroom-")
    assert coming.value.path().stat().st_size > 100
    expect(page.get_by_text("1 selected")).to_be_visible()


def test_the_wall_is_where_it_was_after_a_picture(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    hang(alice, tiny, 250)
    page = open_page("/gallery/", alice)
    for tiles in (120, 180):
        go_down(page, tiles)
    tile = page.locator(".tile").nth(150)
    tile.scroll_into_view_if_needed()
    wanted = tile.get_attribute("data-image")
    page.evaluate(REMEMBER_TOP, wanted)
    tile.locator(".open").click()
    page.wait_for_url("**/images/**")
    page.go_back(wait_until="commit")
    expect(page.locator(f'[data-image="{wanted}"]')).to_be_in_viewport(timeout=15_000)
    wait_for(page, STANDS_WHERE_IT_WAS, wanted)


def test_no_row_has_a_gap_and_nothing_moves_as_pictures_come(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    hang(alice, tiny, 250)
    Image.objects.update(finished_at=Image.objects.order_by("finished_at").last().finished_at)  # type: ignore[union-attr]
    page = open_page("/gallery/", alice)
    assert page.evaluate(SHIFTS) <= 0.02
    for tiles in (120, 180, 240):
        go_down(page, tiles)
    lengths = page.locator(".wall").evaluate_all("all => all.map(w => w.children.length)")
    assert lengths[:4] == [60, 60, 60, 60]
    page.locator(".tick").nth(3).click()
    page.get_by_role("button", name="Move to the bin").click()
    expect(page.locator(".tile.selected")).to_have_count(0)
    lengths = page.locator(".wall").evaluate_all("all => all.map(w => w.children.length)")
    assert lengths[:3] == [60, 60, 60]


def test_a_shared_link_is_made_copied_and_taken_back(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    visitors.expect_status(404)
    [image] = draw(alice, tiny, "a fox")
    page = visitors.open(f"/images/{image.pk}/", alice)
    page.get_by_role("button", name="Share with a link").click()
    page.get_by_role("button", name="Create a link").click()
    expect(page.locator("#share-link")).to_contain_text("/s/")
    link = page.locator("#share-link").inner_text()
    stranger = visitors.open(link)
    expect(stranger.locator("figure img")).to_have_js_property("naturalWidth", 64)
    expect(stranger.get_by_text("a fox")).to_have_count(0)
    page.get_by_role("button", name="Revoke the link").click()
    expect(page.get_by_text("The link is revoked.")).to_be_visible()
    stranger.goto(link)
    expect(stranger.get_by_text("This link doesn't exist or was revoked.")).to_be_visible()


def test_the_image_page_marks_with_a_key_and_bins_with_another(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    [image] = draw(alice, tiny, "a fox")
    page = open_page(f"/images/{image.pk}/", alice)
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(300)
    assert Image.objects.get().is_favourite
    page.keyboard.press("Delete")
    expect(page.get_by_text("In the bin since")).to_be_visible()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("button", name="Move to the bin")).to_be_visible()


def test_without_scripts_pictures_are_selected_and_binned(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, "a fox", "an owl")
    context = visitors.context(alice, java_script_enabled=False)
    page = context.new_page()
    page.goto("/gallery/")
    page.get_by_label("Select: a fox").check(force=True)
    page.get_by_role("button", name="Move to the bin").click()
    expect(page.get_by_text("1 image is in the bin.")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(1)


def test_the_gallery_fits_a_phone(visitors: Visitors, alice: User, tiny: DiffusionModel) -> None:
    draw(alice, tiny, "w" * 300)
    made = Collection.objects.create(owner=alice, name="w" * 80)
    context = visitors.context(alice, **PHONE)
    for path in ("/gallery/", "/gallery/?in=bin", "/collections/", f"/gallery/?in={made.pk}"):
        page = visitors.tab(context, path)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path
    page = visitors.tab(context, "/gallery/")
    page.locator(".tick").first.click()
    expect(page.locator("[data-selbar]")).to_be_in_viewport()
    page.get_by_text("Filter").click()
    expect(page.get_by_label("Shape")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
