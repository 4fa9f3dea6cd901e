"""What holds on every page, and what the gallery and an image's page do."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.visitors import LiveStudio, Visitors
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation, Image
from webapp.operations.setup import make_setup_token

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
SCRIPT = '<img src=x onerror="document.title=1"><script>alert(1)</script>'
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
DARK, LIGHT = "rgb(19, 17, 16)", "rgb(247, 244, 240)"


@pytest.fixture
def alice(live_studio: LiveStudio) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


def draw(owner: User, model: DiffusionModel, prompt: str = "a fox at dusk", count: int = 1) -> None:
    """Finished images of the owner."""
    submit(owner, model, prompt=prompt, count=count)
    for _image in range(count):
        assert finish(claim(model))


def test_every_page_opens_clean_and_shows_prompts_as_text(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, prompt=SCRIPT, count=2)
    submit(alice, tiny, prompt=SCRIPT)
    context = visitors.context(alice)
    picture = f"/images/{Image.objects.filter(state='stored').first().pk}/"  # type: ignore[union-attr]
    pages = ["/", "/gallery/", picture, "/credits/", "/accounts/password/change/"]
    for path in [*pages, "/accounts/logout/", "/accounts/email/"]:
        page = visitors.tab(context, path)
        expect(page.locator("h1").first).to_be_attached()
        assert page.title() != "1"
        page.close()


def test_every_page_of_a_stranger_opens_clean(visitors: Visitors, live_studio: LiveStudio) -> None:
    context = visitors.context()
    entrance = ["login/", "signup/", "password/reset/", "password/reset/done/", "inactive/"]
    entrance += ["password/reset/key/1-abc/", "password/reset/key/done/", "confirm-email/"]
    for path in [*(f"/accounts/{name}" for name in entrance), f"/setup/{make_setup_token()}/"]:
        page = visitors.tab(context, path)
        expect(page.locator("h1").first).to_be_visible()
        page.close()


def test_an_error_page_says_a_sentence_and_leads_back(visitors: Visitors, alice: User) -> None:
    visitors.expect_status(404)
    page = visitors.open("/nothing-here/", alice)
    expect(page.get_by_role("heading")).to_have_text(
        "Nothing was found here. It may have been deleted, or you may not have access."
    )
    page.get_by_role("link", name="Back to the studio").click()
    expect(page).to_have_title("Studio · Darkroom")


def test_the_set_up_link_makes_the_administrator_and_signs_them_in(
    visitors: Visitors, tiny: DiffusionModel
) -> None:
    visitors.expect_status(400)
    page = visitors.open(f"/setup/{make_setup_token()}/")
    page.get_by_label("E-mail address").fill("root@example.org")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create my account").click()
    expect(page.get_by_role("alert")).to_contain_text("too short")
    page.get_by_label("Password").fill("a long and quiet password")
    page.get_by_role("button", name="Create my account").click()
    expect(page.get_by_role("heading", name="Your studio")).to_be_visible()
    page.get_by_role("link", name="Go to the studio").click()
    expect(page.get_by_role("link", name="Admin")).to_be_visible()
    assert User.objects.get(email="root@example.org").is_superuser


def test_the_theme_is_chosen_and_comes_with_the_next_page(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    page = open_page("/", alice, color_scheme="dark")
    assert page.evaluate(BACKGROUND) == DARK
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("radio", name="Light").check(force=True)
    assert page.evaluate(BACKGROUND) == LIGHT
    page.goto("/credits/")
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("radio", name="System").check(force=True)
    assert page.evaluate(BACKGROUND) == DARK


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_without_a_choice_the_system_chooses_the_theme(
    open_page: Open, live_studio: LiveStudio, scheme: str
) -> None:
    page = open_page("/accounts/login/", None, color_scheme=scheme)
    assert page.evaluate(BACKGROUND) == (DARK if scheme == "dark" else LIGHT)


def test_arrow_keys_turn_the_picture_and_deleting_asks_first(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, count=2)
    older, newer = Image.objects.order_by("finished_at")
    page = open_page(f"/images/{newer.pk}/", alice)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/images/{older.pk}/")  # loaded: its script hears the next key
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**/images/{newer.pk}/")
    page.get_by_role("button", name="Move to the bin").click()
    expect(page.get_by_text("1 image is in the bin.")).to_be_visible()
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("The image is deleted.")).to_be_visible()
    assert list(Image.objects.all()) == [older]


def test_use_again_fills_the_studio_with_what_made_the_picture(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, prompt="an owl", seed=4242, width_px=128, steps=3)
    assert finish(claim(tiny))
    page = open_page(f"/images/{Image.objects.get().pk}/", alice)
    page.get_by_role("link", name="Reuse settings").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("an owl")
    expect(page.get_by_role("textbox", name="Seed")).to_have_value("4242")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("3")
    expect(page.locator("[data-shape-text]")).to_have_text("128 × 64")
    expect(page).not_to_have_url(re.compile("from="))
    page.get_by_label("Prompt", exact=True).fill("an owl at night")
    page.reload()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("an owl at night")


def test_the_wall_goes_on_when_its_end_comes_into_view(
    open_page: Open, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny)
    first = Image.objects.get()
    _hang_copies(first, 129)
    page = open_page("/gallery/", alice)
    expect(page.locator(".wall .tile")).to_have_count(60)
    page.keyboard.press("End")
    expect(page.locator(".wall .tile")).to_have_count(120)
    page.keyboard.press("End")
    expect(page.locator(".wall .tile")).to_have_count(130)
    assert len(set(page.locator(".wall .open").evaluate_all("all => all.map(a => a.href)"))) == 130


def test_another_account_gets_404_for_every_address_of_a_picture(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny)
    image = Image.objects.get()
    addresses = [f"/images/{image.pk}/{name}" for name in ("", "file/", "thumbnail/", "download/")]
    addresses.append(f"/generations/{image.generation_id}/")
    mine, bobs = visitors.context(alice), visitors.context(make_user("bob"))
    assert [mine.request.get(path).status for path in addresses] == [200] * 5
    assert [bobs.request.get(path).status for path in addresses] == [404] * 5


def test_every_page_fits_a_narrow_phone(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    draw(alice, tiny, prompt="w" * 400)
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
    context = visitors.context(alice, **phone)
    picture = f"/images/{Image.objects.get().pk}/"
    for path in ["/", "/gallery/", picture, "/credits/", "/accounts/password/change/"]:
        page = visitors.tab(context, path)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path
        page.close()


def _hang_copies(image: Image, count: int) -> None:
    """Further finished images over three days, without the work of drawing them."""
    generation = Generation.objects.get()
    now = timezone.now()
    Image.objects.bulk_create(
        Image(
            generation=generation,
            owner=image.owner,
            model=image.model,
            index=index + 1,
            seed=index,
            cost=1,
            state=Image.State.STORED,
            file=image.file,
            thumbnail=image.thumbnail,
            sha256=image.sha256,
            finished_at=now - timedelta(minutes=30 * index),
        )
        for index in range(count)
    )
