"""What somebody sees who works in the studio."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, Visitors, wait_until_heard
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation import events
from webapp.generation.models import Generation, Image
from webapp.generation.queueing import services
from webapp.generation.queueing.claims import Claim

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def send_progress(claimed: Claim, step: int) -> None:
    facts = {"id": str(claimed.image_id), "generation": str(claimed.generation_id)}
    event = {**facts, "stage": "denoising", "step": step, "steps": claimed.asked.steps}
    events.publish_progress(user_id=claimed.owner_id, event=event)


def write_prompt(page: Page, words: str = "a fox at dusk") -> None:
    page.get_by_label("Prompt", exact=True).fill(words)


def generate(page: Page) -> None:
    page.locator(".bar [data-go]").click()


def test_signing_up_opens_the_studio_with_200_credits(
    open_page: Open, tiny: DiffusionModel
) -> None:
    page = open_page("/")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").fill("dora@example.org")
    page.get_by_label("Password").fill("a long and quiet password")
    page.get_by_role("button", name="Create account").click()
    expect(page.locator("[data-balance]")).to_have_text("200.00")
    expect(page.get_by_role("heading", name="What should the first image show?")).to_be_visible()


def test_a_picture_develops_on_the_page_without_a_reload(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    wait_until_heard(page)
    page.evaluate("window.stayed = true")
    page.get_by_role("radio", name="1", exact=True).check(force=True)
    write_prompt(page)
    generate(page)
    tile = page.locator("[data-image]")
    expect(tile).to_have_attribute("data-state", "queued")
    expect(page.locator("[data-balance]")).to_have_text("199.80")
    claimed = claim(tiny)
    send_progress(claimed, 1)
    expect(tile).to_have_attribute("data-state", "running")
    send_progress(claimed, 3)
    expect(tile.get_by_text("step 3 of 4")).to_be_visible()
    assert finish(claimed)
    expect(tile.get_by_role("img", name="a fox at dusk")).to_be_visible()
    # Not wait_for_function: it evaluates strings, which our policy rightly refuses.
    expect(page.locator(".tile img")).to_have_js_property("naturalWidth", 64)
    assert page.evaluate("window.stayed") is True


def test_control_and_enter_generate_and_the_prompt_stays(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    write_prompt(page)
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-image]")).to_have_count(4)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a fox at dusk")


def test_a_double_click_makes_one_generation_and_a_later_click_another(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    write_prompt(page)
    page.locator(".bar [data-go]").dblclick()
    expect(page.locator("[data-generation]")).to_have_count(1)
    expect(page.locator(".bar [data-go]")).to_have_attribute("aria-busy", "false")
    assert Generation.objects.count() == 1
    generate(page)
    expect(page.locator("[data-generation]")).to_have_count(2)


def test_a_wrong_size_is_said_beside_its_field_and_nothing_is_lost(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    visitors.expect_status(400)
    page = visitors.open("/", alice)
    write_prompt(page)
    page.get_by_text("Exact size").click()
    page.get_by_label("Width").fill("65")
    generate(page)
    wrong = page.locator("#wrong-width")
    expect(wrong).to_have_text("Width must be a multiple of 8 pixels; 65 is not.")
    expect(page.get_by_label("Width")).to_be_focused()
    expect(page.get_by_label("Width")).to_have_value("65")
    assert not Generation.objects.exists()
    page.get_by_label("Width").fill("64")
    expect(wrong).to_be_hidden()


def test_a_click_that_cannot_be_paid_says_what_is_lacking(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    visitors.expect_status(402)
    alice.account.posted_ucr = 300_000
    alice.account.save()
    page = visitors.open("/", alice)
    expect(page.locator("[data-after]")).to_contain_text("You need 0.50 more credits.")
    write_prompt(page)
    generate(page)
    expect(page.get_by_role("alert")).to_have_text("This needs 0.80 credits; 0.30 are available.")


def click_by_mouse(page: Page, button: str) -> None:
    """Where it stands now; Playwright's own click, and filling in, scroll the page first."""
    box = page.get_by_role("button", name=button).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_the_feed_stays_where_it_is_while_the_form_says_what_is_wrong(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    visitors.expect_status(400)
    for number in range(8):
        submit(alice, tiny, prompt=f"a fox, {number}")
    page = visitors.open("/", alice)
    prompt, seed = page.get_by_label("Prompt", exact=True), page.get_by_label("Seed", exact=True)
    click_by_mouse(page, "Surprise me with a prompt")
    expect(prompt).to_be_focused()
    assert page.evaluate("scrollY") == 0
    prompt.evaluate("one => { one.value = '' }")
    click_by_mouse(page, "Generate")
    expect(prompt).to_have_attribute("aria-invalid", "true")
    assert page.evaluate("scrollY") == 0
    prompt.evaluate("one => { one.value = 'a fox' }")
    seed.evaluate("one => { one.value = 'seven' }")
    click_by_mouse(page, "Generate")
    expect(seed).to_be_focused()
    expect(seed).to_be_in_viewport(ratio=1)
    assert page.evaluate("scrollY") == 0


def test_the_form_works_without_javascript(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    visitors.expect_status(400)
    page = visitors.open("/", alice, java_script_enabled=False)
    write_prompt(page, "")
    generate(page)
    expect(page.locator("#wrong-prompt")).to_contain_text("Write a prompt")
    write_prompt(page, "a fox without scripts")
    generate(page)
    expect(page.locator("[data-image]")).to_have_count(4)
    expect(page.get_by_text("a fox without scripts")).to_be_visible()


def test_another_tab_shows_what_the_first_one_asked_for(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    context = visitors.context(alice)
    first, second = visitors.tab(context, "/"), visitors.tab(context, "/")
    wait_until_heard(second)
    write_prompt(first)
    generate(first)
    expect(second.locator("[data-image][data-state=queued]")).to_have_count(4)


def test_a_running_state_and_a_draft_survive_a_reload(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny)
    send_progress(claim(tiny), 2)
    page = open_page("/", alice)
    write_prompt(page, "half a sentence")
    page.get_by_role("textbox", name="Seed").fill("77")
    page.reload()
    expect(page.locator(".tile.running")).to_contain_text("step 2 of 4")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("half a sentence")
    expect(page.get_by_role("textbox", name="Seed")).to_have_value("77")


def test_a_failed_picture_is_not_charged_and_is_tried_again_once(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny)
    claimed = claim(tiny)
    services.fail_image(
        image_id=claimed.image_id,
        lease_token=claimed.lease_token,
        code="out_of_memory",
        sentence="The worker ran out of memory.",
    )
    page = open_page("/", alice)
    tile = page.locator(".tile.failed")
    expect(tile).to_contain_text("The worker ran out of memory.")
    expect(tile).to_contain_text("Not charged.")
    tile.get_by_role("button", name="Try again").dblclick()
    expect(page.locator("[data-generation]")).to_have_count(2)
    assert (
        Image.objects.filter(
            state=Image.State.QUEUED, seed=Image.objects.get(pk=claimed.image_id).seed
        ).count()
        == 1
    )


def test_cancelling_gives_the_credits_back(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, count=3)
    page = open_page("/", alice)
    wait_until_heard(page)
    expect(page.locator("[data-balance]")).to_have_text("199.40")
    page.get_by_role("button", name="Cancel this image").first.click(force=True)
    expect(page.locator("[data-state=cancelled]")).to_have_count(1)
    expect(page.locator("[data-balance]")).to_have_text("199.60")
    page.get_by_role("button", name="Cancel unfinished images").click()
    expect(page.locator("[data-state=cancelled]")).to_have_count(3)
    expect(page.locator("[data-balance]")).to_have_text("200.00")


def test_pictures_that_finish_in_a_hidden_tab_are_counted_in_its_title(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny)
    page = open_page("/", alice)
    wait_until_heard(page)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    assert finish(claim(tiny))
    expect(page).to_have_title("(1) finished · Studio · Darkroom")


def test_the_page_goes_on_by_polling_when_the_stream_is_refused(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    visitors.expect_status(503)
    submit(alice, tiny)
    context = visitors.context(alice)
    context.route("**/events/", lambda route: route.fulfill(status=503))
    page = visitors.tab(context, "/")
    assert finish(claim(tiny))
    expect(page.locator("[data-state=stored]")).to_be_visible()


def test_a_phone_keeps_generate_in_view_and_opens_the_settings_as_a_sheet(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    for _request in range(4):
        submit(alice, tiny, count=4)
    page = open_page("/", alice, **PHONE)
    expect(page.locator(".bar [data-go]")).to_be_in_viewport()
    page.mouse.wheel(0, 600)
    expect(page.locator(".bar [data-go]")).to_be_in_viewport()
    expect(page.get_by_label("Steps", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_label("Steps", exact=True)).to_be_visible()
    expect(page.locator(".sheet-foot [data-go]")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_another_model_brings_its_own_values(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    make_model("zoom", width_px=128, height_px=128, steps=9, family="flux", sampler="flow_euler")
    page = open_page("/", alice)
    page.get_by_label("Model", exact=True).select_option("zoom")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("9")
    expect(page.locator("[data-shape-text]")).to_have_text("1 : 1 · 128 × 128")
    expect(page.get_by_label("Sampler")).to_have_value("flow_euler")
    write_prompt(page)
    generate(page)
    expect(page.locator(".facts")).to_contain_text("128 × 128")


def test_a_model_without_negative_prompts_hides_the_field_and_keeps_its_words(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    make_model("zoom", uses_negative_prompt=False)
    page = open_page("/", alice)
    page.locator("summary", has_text="Negative prompt").click()
    page.get_by_label("Negative prompt").fill("people")
    page.get_by_label("Model", exact=True).select_option("zoom")
    expect(page.locator("summary", has_text="Negative prompt")).to_be_hidden()
    write_prompt(page)
    generate(page)
    expect(page.locator("[data-image]")).to_have_count(4)
    assert Generation.objects.get().negative_prompt == ""
    page.reload()
    page.get_by_label("Model", exact=True).select_option("tiny")
    expect(page.get_by_label("Negative prompt")).to_have_value("people")


def test_a_shape_is_chosen_within_the_limits_of_the_model(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice)
    page.get_by_label("Aspect ratio").press("Home")
    write_prompt(page)
    generate(page)
    expect(page.locator("[data-image]")).to_have_count(4)
    made = Generation.objects.get()
    assert (made.width_px, made.height_px) == (64, 112)


def test_without_a_model_the_page_says_what_an_administrator_does(
    open_page: Open, alice: User
) -> None:
    page = open_page("/", alice)
    expect(page.get_by_role("heading", name="There is no model yet")).to_be_visible()
    admin = open_page("/", make_user("charlie", is_staff=True))
    expect(admin.get_by_text("manage.py models add")).to_be_visible()
