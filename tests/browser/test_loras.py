"""The LoRAs beside the prompt: what suits the model, put in and taken out by a click or by keys."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitors import LiveStudio, Visitors
from tests.people import make_lora, make_model, make_user
from webapp.accounts.models import User

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    make_model("first", is_default=True)
    make_model("xl", family="sdxl")
    make_lora("detail", summary="Finer lines", weight=0.8)
    make_lora("swirl", trigger_words="swirly sky")
    make_lora("gloss", family="sdxl")
    return make_user("alice")


def open_list(page: Page) -> Locator:
    page.get_by_role("button", name="LoRAs", exact=True).click()
    return page.get_by_role("dialog", name="LoRAs")


def test_a_click_puts_a_lora_into_the_prompt_with_its_words_and_another_takes_it_out(
    open_page: Open, alice: User
) -> None:
    page = open_page("/", alice)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a fox")
    listed = open_list(page)
    expect(listed.get_by_role("button", name="Swirl")).to_have_attribute("aria-pressed", "false")
    listed.get_by_role("button", name="Swirl").click()
    expect(prompt).to_have_value("a fox, swirly sky <lora:swirl:1>")
    expect(prompt).to_be_focused()
    open_list(page).get_by_role("button", name="Detail").click()
    expect(prompt).to_have_value("a fox, swirly sky <lora:swirl:1>, <lora:detail:0.8>")
    listed = open_list(page)
    expect(listed.get_by_role("button", name="Swirl")).to_have_attribute("aria-pressed", "true")
    listed.get_by_role("button", name="Swirl").click()
    expect(prompt).to_have_value("a fox, swirly sky, <lora:detail:0.8>")
    page.keyboard.press("Control+z")
    expect(prompt).to_have_value("a fox, swirly sky <lora:swirl:1>, <lora:detail:0.8>")


def test_those_of_the_chosen_model_are_listed_and_keys_reach_them(
    open_page: Open, alice: User
) -> None:
    page = open_page("/", alice)
    listed = open_list(page)
    expect(listed.get_by_role("listitem")).to_have_count(2)
    page.keyboard.type("fine")
    expect(listed.get_by_role("listitem").filter(visible=True)).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("<lora:detail:0.8>")
    page.get_by_label("Model", exact=True).select_option("xl")
    expect(open_list(page).get_by_role("listitem")).to_have_text(["Gloss× 1"])


def test_a_studio_without_loras_does_not_speak_of_them(
    open_page: Open, live_studio: LiveStudio
) -> None:
    make_model("first", is_default=True)
    page = open_page("/", make_user("bob"))
    expect(page.get_by_role("button", name="LoRAs", exact=True)).to_be_hidden()


def test_a_lora_that_is_not_there_is_said_at_the_prompt(
    open_page: Open, alice: User, visitors: Visitors
) -> None:
    visitors.expect_status(400)
    page = open_page("/", alice)
    page.get_by_label("Prompt", exact=True).fill("a fox <lora:gloss>")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#wrong-prompt")).to_have_text(
        "There is no LoRA “gloss” for First. On offer: detail, swirl."
    )
