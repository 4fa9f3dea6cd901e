"""What the page says, before anything is asked for, of words that a model does not know."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.axe import WIDE, bring_axe, look_at, write_list
from tests.browser.test_budgets import OBSERVE, expect_no_shift
from tests.browser.test_phone import SMALL, phone
from tests.browser.visitors import LiveStudio, Visitors
from tests.people import make_model, make_user
from tests.vocabularies import give_vocabulary
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def small(live_studio: LiveStudio) -> DiffusionModel:
    return give_vocabulary(make_model("small", is_default=True))


def line_of(page: Page) -> Locator:
    return page.locator("[data-vocab]")


def prompt_of(page: Page) -> Locator:
    return page.get_by_label("Prompt", exact=True)


def offer(page: Page, near: str, word: str) -> Locator:
    return page.get_by_role("button", name=f"Replace {word} with {near}")


def test_a_word_that_it_does_not_know_is_named_and_replaced_in_place(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    page = open_page("/", alice)
    expect(line_of(page)).to_contain_text("It knows 11 things.")
    prompt_of(page).press_sequentially("a cat and an astronaut here")
    expect(page.locator(".vocab-word")).to_have_text(["astronaut", "here"])
    expect(page.locator("[data-vocab-said]")).to_have_text(
        "The model doesn't know: astronaut, here."
    )
    offer(page, "robot", "astronaut").click()
    expect(prompt_of(page)).to_have_value("a cat and an robot here")
    expect(prompt_of(page)).to_be_focused()
    expect(page.locator(".vocab-word")).to_have_text(["here"])
    page.keyboard.press("Control+z")
    expect(prompt_of(page)).to_have_value("a cat and an astronaut here")
    expect(page.locator(".vocab-word")).to_have_text(["astronaut", "here"])


def test_all_places_of_a_word_are_replaced_at_once(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    page = open_page("/", alice)
    prompt_of(page).fill("🐱 kitty, Kitty and\na kitty")
    offer(page, "cat", "kitty").click()
    expect(prompt_of(page)).to_have_value("🐱 cat, cat and\na cat")
    page.keyboard.press("Control+z")
    expect(prompt_of(page)).to_have_value("🐱 kitty, Kitty and\na kitty")


def test_the_line_is_walked_and_pressed_by_keyboard(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    page = open_page("/", alice)
    prompt_of(page).fill("a kitty")
    expect(offer(page, "cat", "kitty")).to_be_visible()
    prompt_of(page).press("Tab")
    expect(page.get_by_role("button", name="kitty", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(prompt_of(page)).to_be_focused()
    assert prompt_of(page).evaluate("(one) => [one.selectionStart, one.selectionEnd]") == [2, 7]
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(offer(page, "cat", "kitty")).to_be_focused()
    page.keyboard.press("Enter")
    expect(prompt_of(page)).to_have_value("a cat")
    expect(line_of(page)).to_contain_text("The model knows all of these words.")


def test_a_prompt_of_which_nothing_can_be_drawn_says_so_before_the_click_and_costs_nothing(
    visitors: Visitors, alice: User, small: DiffusionModel
) -> None:
    visitors.expect_status(400)
    page = visitors.open("/", alice)
    prompt_of(page).fill("an astronaut riding a horse")
    expect(line_of(page)).to_contain_text("The model can't draw any of this.")
    expect(line_of(page)).to_have_class(re.compile("is-nothing"))
    page.locator(".bar [data-go]").click()
    expect(page.locator("#wrong-prompt")).to_contain_text(
        "Small can't draw any of this. Similar words"
    )
    expect(page.locator("[data-balance]")).to_have_text("200.00")
    assert not Generation.objects.exists()
    prompt_of(page).fill("red")
    expect(line_of(page)).to_contain_text("The model can't draw any of this.")
    expect(page.locator(".vocab-word")).to_have_count(0)


def test_a_model_without_a_vocabulary_has_no_line(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    make_model("other")
    page = open_page("/", alice)
    prompt_of(page).fill("a kitty")
    expect(page.locator(".vocab-word")).to_have_text(["kitty"])
    page.get_by_label("Model", exact=True).select_option("other")
    expect(line_of(page)).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("small")
    expect(page.locator(".vocab-word")).to_have_text(["kitty"])


def test_ideas_are_those_that_the_chosen_model_knows_however_few(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    give_vocabulary(make_model("one", name="One"), "near", things={"en": {"cat": "cat"}})
    page = open_page("/", alice)
    chips = page.locator(".ideas button")
    expect(chips).to_have_text(["cat", "dog", "house", "car", "bus", "ice cream"])
    page.get_by_label("Model", exact=True).select_option("one")
    expect(chips).to_have_text(["cat"])
    for _time in range(2):
        page.get_by_role("button", name="Surprise me with a prompt").click()
        expect(prompt_of(page)).to_have_value("cat")
    page.get_by_label("Model", exact=True).select_option("small")
    chips.nth(5).click()
    expect(prompt_of(page)).to_have_value("ice cream")
    expect(line_of(page)).to_contain_text("The model knows all of these words.")


@pytest.fixture
def slow_answers() -> list[Route]:
    """Questions that the test answers when it likes."""
    return []


def test_an_overtaken_answer_does_not_replace_a_newer_one(
    visitors: Visitors, alice: User, small: DiffusionModel, slow_answers: list[Route]
) -> None:
    context = visitors.context(alice)
    context.route("**/prompts/reading/", lambda route: slow_answers.append(route))
    page = visitors.tab(context, "/")
    prompt_of(page).fill("a kitty")
    wait_for_questions(page, slow_answers, 1)
    prompt_of(page).fill("a vehicle")
    wait_for_questions(page, slow_answers, 2)
    slow_answers[1].continue_()
    expect(page.locator(".vocab-word")).to_have_text(["vehicle"])
    slow_answers[0].continue_()
    page.wait_for_timeout(500)
    expect(page.locator(".vocab-word")).to_have_text(["vehicle"])


def wait_for_questions(page: Page, asked: list[Route], count: int) -> None:
    for _time in range(100):
        if len(asked) >= count:
            return
        page.wait_for_timeout(50)
    pytest.fail(f"the page did not ask {count} times")


def test_an_offer_whose_word_was_changed_meanwhile_changes_nothing(
    visitors: Visitors, alice: User, small: DiffusionModel, slow_answers: list[Route]
) -> None:
    page = visitors.open("/", alice)
    prompt_of(page).fill("a kitty")
    expect(offer(page, "cat", "kitty")).to_be_visible()
    page.context.route("**/prompts/reading/", lambda route: slow_answers.append(route))
    prompt_of(page).fill("no such kitty")
    offer(page, "cat", "kitty").click()
    expect(prompt_of(page)).to_have_value("no such kitty")


def test_the_page_asks_once_in_a_pause_and_never_puts_the_prompt_into_an_address(
    visitors: Visitors, alice: User, small: DiffusionModel
) -> None:
    page = visitors.open("/", alice)
    asked: list[tuple[str, str]] = []
    page.on("request", lambda one: asked.append((one.method, one.url)))
    prompt_of(page).press_sequentially("a cat on a red background", delay=20)
    expect(line_of(page)).to_contain_text("The model knows all of these words.")
    questions = [one for one in asked if "/prompts/reading/" in one[1]]
    assert len(questions) == 1
    assert questions[0][0] == "POST"
    assert not any("cat" in address for _method, address in asked)


def test_a_studio_that_does_not_answer_keeps_the_line_quiet(
    visitors: Visitors, alice: User, small: DiffusionModel
) -> None:
    visitors.expect_status(503)
    context = visitors.context(alice)
    context.route("**/prompts/reading/", lambda route: route.fulfill(status=503))
    page = visitors.tab(context, "/")
    prompt_of(page).fill("a kitty")
    page.wait_for_timeout(600)
    expect(line_of(page)).to_contain_text("It knows 11 things.")


def test_what_the_negative_prompt_can_not_leave_out_is_said_below_it(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.locator("summary", has_text="Negative prompt").click()
    said = page.locator("[data-vocab-negative]")
    expect(said).to_contain_text("This model can leave out: “white background”")
    page.get_by_label("Negative prompt").fill("people, red")
    expect(said).to_contain_text("This model can't leave out “people”. It can leave out: “white")


def test_what_it_knows_is_listed_searched_and_added(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    page = open_page("/", alice)
    prompt_of(page).fill("a cat")
    page.get_by_role("button", name="Known words").click()
    box = page.get_by_role("dialog", name="Known words")
    expect(box.get_by_role("listitem").get_by_role("button")).to_have_count(11)
    expect(box.get_by_role("button").nth(1)).to_have_text("bus")
    expect(box).to_contain_text("Pixels")
    page.keyboard.type("ro")
    expect(box.get_by_role("button", name="Add")).to_have_count(2)
    expect(box).to_contain_text("2 found")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_be_hidden()
    expect(prompt_of(page)).to_have_value("a cat, robot")
    expect(prompt_of(page)).to_be_focused()
    page.keyboard.press("Control+z")
    expect(prompt_of(page)).to_have_value("a cat")


def test_in_korean_offers_keep_the_ending(
    visitors: Visitors, alice: User, small: DiffusionModel
) -> None:
    page = visitors.open("/", alice, locale="ko-KR")
    prompt = page.locator("#prompt")
    prompt.fill("고앵이가 집에서")
    chip = page.locator(".vocab .chip")
    expect(chip).to_have_text(["고양이가"])
    chip.click()
    expect(prompt).to_have_value("고양이가 집에서")
    expect(line_of(page)).to_contain_text("모두 아는 단어입니다.")
    page.get_by_role("button", name="아는 단어", exact=True).click()
    expect(page.locator("#vocabulary [data-things]")).to_contain_text("생일 케이크")


def test_another_model_brings_its_styles_and_a_style_that_it_lacks_gives_way_aloud(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    make_model("other", name="Other")
    page = open_page("/", alice)
    group = page.get_by_role("group", name="Style")
    expect(group.get_by_role("radio")).to_have_count(3)
    expect(page.locator(".no-sample")).to_have_text(["F", "P"])
    expect(page.get_by_role("button", name="Show all styles")).to_be_hidden()
    page.locator(".style", has_text="Flat").click()
    page.get_by_label("Model", exact=True).select_option("other")
    expect(group.get_by_role("radio", name="None")).to_be_checked()
    expect(group).to_contain_text("Other has no style Flat: none is chosen now.")
    page.get_by_role("button", name="Show all styles").click()
    expect(group.get_by_role("radio")).to_have_count(18)
    expect(page.locator(".style img").first).to_have_js_property("complete", True)
    assert page.locator(".style img").first.evaluate("one => one.naturalWidth") > 0
    page.locator(".style", has_text="Pixel art").click()
    expect(page.locator("[data-style-gone]")).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("small")
    expect(group.get_by_role("radio", name="Pixels")).to_be_checked()


def test_a_draft_keeps_the_style_of_its_own_model(
    open_page: Open, alice: User, small: DiffusionModel
) -> None:
    make_model("other", name="Other")
    page = open_page("/", alice)
    page.get_by_label("Model", exact=True).select_option("other")
    page.get_by_role("button", name="Show all styles").click()
    page.locator(".style", has_text="Origami").click()
    page.reload()
    expect(page.get_by_role("radio", name="Origami")).to_be_checked()
    expect(line_of(page)).to_be_hidden()


def test_nothing_moves_while_somebody_types(
    visitors: Visitors, alice: User, small: DiffusionModel
) -> None:
    context = visitors.context(alice, viewport={"width": 1440, "height": 900})
    context.add_init_script(OBSERVE)
    page = visitors.tab(context, "/")
    prompt_of(page).fill("a")
    expect(line_of(page)).to_contain_text("The model can't draw any of this.")
    stood = prompt_of(page).bounding_box()
    prompt_of(page).press_sequentially(" kitty", delay=30)
    expect(offer(page, "cat", "kitty")).to_be_visible()
    assert prompt_of(page).bounding_box() == stood
    prompt_of(page).press_sequentially(" and an astronaut with words nobody knew", delay=10)
    expect(page.locator(".vocab-word")).to_have_count(6)
    prompt_of(page).fill("a cat")
    expect(line_of(page)).to_contain_text("The model knows all of these words.")
    expect_no_shift(page)


@pytest.mark.parametrize(("width", "height"), [(360, 640), (390, 844)])
def test_on_a_phone_the_line_fits_and_is_large_enough_for_fingers(
    open_page: Open, alice: User, small: DiffusionModel, width: int, height: int
) -> None:
    page = open_page("/", alice, **phone(width, height))
    prompt_of(page).fill("a kitty and an astronaut in a hosue")
    expect(offer(page, "cat", "kitty")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.locator(".bar [data-go]")).to_be_in_viewport(ratio=1)
    assert page.evaluate(SMALL, 40) == []
    offer(page, "house", "hosue").scroll_into_view_if_needed()
    offer(page, "house", "hosue").tap()
    expect(prompt_of(page)).to_have_value("a kitty and an astronaut in a house")
    page.get_by_role("button", name="Known words").tap()
    box = page.get_by_role("dialog", name="Known words")
    expect(box.get_by_role("button", name="Add ice cream to the prompt")).to_be_in_viewport()
    page.wait_for_timeout(400)
    assert page.evaluate(SMALL, 40) == []


def test_axe_finds_nothing_on_the_line_and_the_list(
    visitors: Visitors, alice: User, small: DiffusionModel
) -> None:
    context = visitors.context(alice, viewport=WIDE)
    bring_axe(context)
    page = visitors.tab(context, "/")
    page.get_by_role("button", name="Known words").click()
    expect(page.locator("#vocabulary").get_by_role("listitem").first).to_be_visible()
    page.keyboard.press("Escape")
    prompt_of(page).fill("an astronaut with words nobody knew, a kitty and a vehicle of nothing")
    expect(page.locator(".vocab-word")).to_have_count(6)
    found = look_at(page, "/")
    assert not found, write_list(found)


def test_without_scripts_the_sentence_comes_with_the_answer(
    visitors: Visitors, alice: User, small: DiffusionModel
) -> None:
    visitors.expect_status(400)
    page = visitors.open("/", alice, java_script_enabled=False)
    expect(line_of(page)).to_contain_text("It knows 11 things.")
    expect(page.get_by_role("button", name="Known words")).to_be_hidden()
    prompt_of(page).fill("a horse")
    page.locator(".bar [data-go]").click()
    expect(page.locator("#wrong-prompt")).to_contain_text("Small can't draw any of this.")
    prompt_of(page).fill("a cat")
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-image]")).to_have_count(4)
