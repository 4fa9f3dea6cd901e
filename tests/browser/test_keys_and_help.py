"""Keys, the help, earlier prompts, ideas, and notifications, as somebody at a keyboard has them."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, Visitors, wait_until_heard
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.services import STARTER_SLUG
from webapp.generation.models import Generation, Image
from webapp.generation.studio.knowledge import rich_ideas, simple_ideas

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
# Notifications as a page sees them: kept instead of shown.
PRETEND = """(permission) => {
  globalThis.shown = []; globalThis.asked = 0;
  globalThis.Notification = class extends EventTarget {
    static permission = permission;
    static async requestPermission() { globalThis.asked += 1; return this.permission; }
    constructor(title, options) {
      super(); Object.assign(this, options, { title }); shown.push(this);
    }
    close() { this.isClosed = true; }
  };
}"""


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def draw(owner: User, model: DiffusionModel, count: int = 1, **changes: str) -> None:
    """Finished images of the owner."""
    submit(owner, model, count=count, **changes)
    for _image in range(count):
        assert finish(claim(model))


def prompt_of(page: Page) -> str:
    return page.get_by_label("Prompt", exact=True).input_value()


def test_alt_and_arrows_walk_through_my_prompts_and_back_to_the_draft(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    for prompt, negative in [("an owl", "rain"), ("a fox", ""), ("an owl", "rain"), ("a boat", "")]:
        submit(alice, tiny, prompt=prompt, negative_prompt=negative)
    page = open_page("/", alice)
    field = page.get_by_label("Prompt", exact=True)
    field.fill("half a thought")
    seen = []
    for key in ["ArrowUp"] * 3 + ["ArrowDown"] * 3:
        before = prompt_of(page)
        field.press(f"Alt+{key}")
        expect(field).not_to_have_value(before)
        seen.append(prompt_of(page))
    assert seen == ["a boat", "an owl", "a fox", "an owl", "a boat", "half a thought"]
    field.press("Alt+ArrowUp")
    expect(field).to_have_value("a boat")
    field.press("Alt+ArrowUp")
    expect(page.locator("#negative_prompt")).to_have_value("rain")


def test_at_the_oldest_prompt_the_walk_ends_and_says_so(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, prompt="a fox")
    page = open_page("/", alice)
    field = page.get_by_label("Prompt", exact=True)
    field.press("Alt+ArrowUp")
    expect(field).to_have_value("a fox")
    field.press("Alt+ArrowUp")
    expect(page.locator("[data-said]")).to_have_text("That was your oldest prompt.")
    expect(field).to_have_value("a fox")


def test_what_is_sent_is_the_next_step_of_the_walk(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, prompt="a fox")
    page = open_page("/", alice)
    field = page.get_by_label("Prompt", exact=True)
    field.press("Alt+ArrowUp")
    expect(field).to_have_value("a fox")
    field.fill("an owl")
    field.press("Control+Enter")
    expect(page.locator("[data-generation]")).to_have_count(2)
    field.press("Alt+ArrowUp")
    expect(field).to_have_value("a fox")
    field.press("Alt+ArrowDown")
    expect(field).to_have_value("an owl")


def test_the_list_of_earlier_prompts_is_searched_and_puts_both_words_in(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    for number in range(55):
        submit(alice, tiny, prompt=f"boat {number}", negative_prompt="")
    submit(alice, tiny, prompt="an owl <b>at</b> night", negative_prompt="rain")
    page = open_page("/", alice)
    page.get_by_role("button", name="Earlier prompts").click()
    listed = page.locator("[data-past] button")
    expect(listed).to_have_count(50)
    page.get_by_role("button", name="Show older prompts").click()
    expect(listed).to_have_count(56)
    page.get_by_label("Search my prompts").fill("rain owl")
    expect(listed).to_have_count(1)
    expect(listed).to_contain_text("an owl <b>at</b> night")
    page.get_by_label("Search my prompts").press("ArrowDown")
    expect(listed).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Earlier prompts")).to_be_hidden()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("an owl <b>at</b> night")
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    expect(page.locator("#negative_prompt")).to_have_value("rain")


def test_a_list_without_any_prompt_says_why(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.get_by_role("button", name="Earlier prompts").click()
    expect(page.get_by_text("The prompts that you use are kept here.")).to_be_visible()
    page.get_by_label("Search my prompts").fill("owl")
    expect(page.get_by_text("None of your prompts contains these words.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Earlier prompts")).to_be_hidden()


def test_ideas_suit_the_model_that_is_chosen(open_page: Open, alice: User) -> None:
    make_model(STARTER_SLUG, is_default=True)
    make_model("large")
    page = open_page("/", alice)
    chips = page.locator("[data-idea]")
    page.get_by_label("Model", exact=True).select_option(STARTER_SLUG)
    expect(chips.first).to_have_text(simple_ideas()[0])
    chips.nth(1).click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(simple_ideas()[1])
    page.get_by_label("Model", exact=True).select_option("large")
    expect(chips.first).to_have_text(rich_ideas()[0])
    for _throw in range(3):
        page.get_by_role("button", name="Surprise me").click()
        assert prompt_of(page) in rich_ideas()


@pytest.mark.parametrize("path", ["/", "/gallery/", "/credits/", "/account/", "/development/"])
def test_a_question_mark_opens_the_help_on_every_page(
    open_page: Open, alice: User, tiny: DiffusionModel, path: str
) -> None:
    page = open_page(path, alice)
    page.locator("h1").first.click(force=True)
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Help")
    expect(help_).to_be_visible()
    expect(help_.get_by_text("Search my images")).to_be_visible()
    expect(help_.get_by_role("link", name="How an image is generated")).to_be_visible()
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()


def test_a_question_mark_in_a_prompt_is_a_question_mark(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.get_by_label("Prompt", exact=True).press_sequentially("who?")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("who?")
    expect(page.get_by_role("dialog", name="Help")).to_be_hidden()


def test_the_header_and_the_menu_open_the_help_and_lead_on(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/credits/", alice)
    page.locator(".help-button").click()
    help_ = page.get_by_role("dialog", name="Help")
    help_.get_by_role("button", name="Close the help").click()
    page.get_by_role("button", name="Account menu").click()
    page.locator(".menu").get_by_role("button", name="Help and shortcuts").click()
    help_.get_by_role("link", name="How an image is generated").click()
    expect(page.get_by_role("heading", name="How an image is generated")).to_be_visible()


def test_control_and_k_lead_to_the_search_of_the_gallery(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.keyboard.press("Control+k")
    page.wait_for_url("**/gallery/#search-words")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.locator("h1").click()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()


def press(page: Page, *, key: str, code: str, **held: bool) -> None:
    """What a keyboard sends that types another letter than the one that its key has elsewhere."""
    page.evaluate(
        "(init) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
        " {...init, bubbles: true, cancelable: true}))",
        {"key": key, "code": code, **held},
    )


def test_a_korean_layout_has_the_same_keys(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, count=1)
    page = open_page("/", alice)
    tile = page.locator(".tile.stored")
    tile.locator(".open").focus()
    press(page, key="ㄹ", code="KeyF")
    expect(tile.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    press(page, key="ㅏ", code="KeyK", ctrlKey=True)
    page.wait_for_url("**/gallery/#search-words")


def test_a_layout_of_latin_letters_keeps_its_own(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, count=1)
    page = open_page("/", alice)
    tile = page.locator(".tile.stored")
    tile.locator(".open").focus()
    press(page, key="u", code="KeyF")  # Dvorak
    press(page, key="f", code="KeyY")
    expect(tile.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")


def test_a_syllable_that_is_being_composed_keeps_its_keys(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, prompt="a fox")
    page = open_page("/", alice)
    field = page.get_by_label("Prompt", exact=True)
    field.fill("고양이")
    press(page, key="Enter", code="Enter", ctrlKey=True, isComposing=True)
    press(page, key="ArrowUp", code="ArrowUp", altKey=True, isComposing=True)
    page.wait_for_timeout(500)
    expect(field).to_have_value("고양이")
    assert Generation.objects.count() == 1
    press(page, key="Enter", code="Enter", ctrlKey=True)
    expect(page.locator("[data-generation]")).to_have_count(2)


def test_a_list_stays_open_while_a_syllable_is_being_composed(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, prompt="a fox")
    page = open_page("/", alice)
    page.get_by_role("button", name="Earlier prompts").click()
    expect(page.locator("[data-past] button")).to_have_count(1)
    search = page.get_by_label("Search my prompts")
    search.focus()
    press(page, key="Escape", code="Escape", isComposing=True)
    press(page, key="ArrowDown", code="ArrowDown", isComposing=True)
    expect(search).to_be_focused()
    press(page, key="ArrowDown", code="ArrowDown")
    expect(page.locator("[data-past] button")).to_be_focused()


def test_arrows_walk_through_the_feed(open_page: Open, alice: User, tiny: DiffusionModel) -> None:
    draw(alice, tiny, count=2, prompt="older")
    draw(alice, tiny, count=3, prompt="newer")
    page = open_page("/", alice)
    page.locator("h1").first.evaluate("() => document.activeElement.blur()")
    newer, older = page.locator("[data-generation]").all()
    page.keyboard.press("ArrowRight")
    expect(newer.locator(".open").nth(0)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(newer.locator(".open").nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(older.locator(".open").nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(newer.locator(".open").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/*/")


def test_f_marks_a_favourite_and_del_bins_a_picture_which_can_be_undone(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, count=2)
    first, second = Image.objects.order_by("index")
    page = open_page("/", alice)
    tile = page.locator(f"#image-{first.pk}")
    tile.locator(".open").focus()
    page.keyboard.press("f")
    expect(tile.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    page.wait_for_load_state("networkidle")
    first.refresh_from_db()
    assert first.is_favourite
    page.keyboard.press("Delete")
    expect(tile).to_contain_text("in the bin")
    expect(page.locator(f"#image-{second.pk} .open")).to_be_focused()
    first.refresh_from_db()
    assert first.binned_at is not None
    page.get_by_role("button", name="Undo").click()
    expect(tile.locator(".open")).to_be_focused()
    first.refresh_from_db()
    assert first.binned_at is None
    assert first.is_favourite


def test_keys_are_letters_while_somebody_types(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny)
    page = open_page("/", alice)
    page.get_by_label("Prompt", exact=True).press_sequentially("fff")
    page.keyboard.press("Delete")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    assert not Image.objects.get().is_favourite


def switch_on(page: Page) -> None:
    page.keyboard.press("Escape")
    page.locator(".help-button").click()
    page.get_by_role("checkbox", name="Notify me in this browser when my images are ready").click()


def test_notifications_are_asked_for_by_a_click_alone_and_tell_of_a_picture(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, prompt="a fox at dusk")
    context = visitors.context(alice)
    context.add_init_script(f"({PRETEND})('granted')")
    page = visitors.tab(context, "/")
    wait_until_heard(page)
    assert page.evaluate("asked") == 0
    switch_on(page)
    expect(page.get_by_text("Notifications are on.")).to_be_visible()
    assert page.evaluate("[asked, shown.length]") == [1, 1]
    page.keyboard.press("Escape")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    assert finish(claim(tiny))
    expect(page).to_have_title("(1) finished · Studio · Darkroom")
    title, body, icon = page.evaluate("(({title, body, icon}) => [title, body, icon])(shown[1])")
    assert (title, body) == ("Your image is ready", "a fox at dusk")
    assert icon.endswith("/thumbnail/")
    page.evaluate("() => { globalThis.focused = 0; window.focus = () => { focused += 1; }; }")
    page.evaluate("shown[1].dispatchEvent(new Event('click'))")
    assert page.evaluate("[focused, shown[1].isClosed]") == [1, True]


def test_notifications_that_the_browser_denies_stay_off_and_say_so(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    context = visitors.context(alice)
    context.add_init_script(f"({PRETEND})('denied')")
    page = visitors.tab(context, "/")
    switch_on(page)
    expect(page.get_by_text("The browser blocks notifications for this address")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Notify me in this browser")).not_to_be_checked()


def test_without_the_wish_nothing_is_notified(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny)
    context = visitors.context(alice)
    context.add_init_script(f"({PRETEND})('granted')")
    page = visitors.tab(context, "/")
    wait_until_heard(page)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    assert finish(claim(tiny))
    expect(page).to_have_title("(1) finished · Studio · Darkroom")
    assert page.evaluate("shown") == []
