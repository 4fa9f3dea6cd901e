"""axe finds nothing, on any page that anybody can open. Pages come from the URLconf, so that a
new one cannot be forgotten: one that takes an argument nobody gave it fails here."""

import re

import pytest
from django.test import Client
from playwright.sync_api import BrowserContext

from tests.browser.axe import WIDE, Violation, bring_axe, look_at, write_list
from tests.browser.everything import Everything, furnish, newest
from tests.browser.visitors import LiveStudio, Visitors
from tests.operations.passwords import give_password
from tests.people import make_user
from tests.security.addresses import Address, list_addresses
from webapp.accounts.models import User
from webapp.core.probes import PROBES
from webapp.operations.setup import make_setup_token

pytestmark = pytest.mark.browser
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
PATTERN = re.compile(r"\(\?P<(\w+)>[^)]*\)")
POST_ONLY, FORBIDDEN = 405, 403

# Addresses that are no page for anybody, and why; redirects, files and what takes a POST alone
# are told from their answers.
NO_PAGES = {
    "events": "a stream that never ends",
    "setup": "open until there is an administrator: looked at in an empty studio",
    "quote": "figures, and only with a model",
    "admin:autocomplete": "figures, and only with a field",
    "admin:view_on_site": "leads to pages of models that have one; none has",
    "admin:admin/(?P<url>.*)$": "whatever is no address of the admin site",
}
# What the theme of the admin site does and no template or style sheet of ours can change:
# (rule, part of the selector) -> why.
THEME = {
    ("landmark-unique", ".simplebar-content-wrapper"): "its script names all that scrolls alike",
}

# What an address shows beside its first sight.
STATES = [
    "/nothing-here/",
    "/gallery/?in=favourites",
    "/gallery/?in=bin",
    "/gallery/?collection={collection_id}",
    "/gallery/?q=zeppelin",
    "/credits/?kind=code",
    "/images/{binned}/",
    "/images/{failed}/",
    "/images/{running}/",
    "/images/{cancelled}/",
    "/?from={image_id}",
]


@pytest.fixture
def everything(live_studio: LiveStudio) -> Everything:
    return furnish()


def enter(visitors: Visitors, user: User | None) -> BrowserContext:
    """A profile with axe, of somebody who gave their password a moment ago."""
    context = visitors.context(viewport=WIDE)
    bring_axe(context)
    if user is not None:
        client = Client()
        client.force_login(user)
        give_password(client)
        value = client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": value, "url": visitors.url}])
    return context


def path_of(address: Address, everything: Everything) -> str:
    """The address with everything's own in place of its arguments."""

    def fill(found: re.Match[str]) -> str:
        if found[1] == "object_id":
            _admin, app, model, *_rest = address.route.split("/")
            return str(newest(app, model))
        return str(everything.argument(address.name, found[1]))

    route = ARGUMENT.sub(fill, PATTERN.sub(fill, address.route))
    return "/" + route.replace("^", "").removesuffix("$")


def is_page(context: BrowserContext, path: str) -> bool:
    """Whether the address answers with a whole page: not with a file, figures or a part of one."""
    if path in PROBES:  # in words for machines, and no studio of a test is ready
        return False
    answer = context.request.get(path, max_redirects=0)
    if answer.ok:
        is_html = answer.headers["content-type"].startswith("text/html")
        return is_html and answer.text().lstrip().lower().startswith("<!doctype")
    is_elsewhere = 300 <= answer.status < 400
    assert is_elsewhere or answer.status in {POST_ONLY, FORBIDDEN}, (path, answer.status)
    return False


def look_through(visitors: Visitors, context: BrowserContext, paths: list[str]) -> list[Violation]:
    """What axe finds on the pages among these addresses."""
    found = []
    for path in paths:
        page = visitors.tab(context, path)
        found += look_at(page, path)
        page.close()
    return [one for one in found if not is_excepted(one)]


def is_excepted(one: Violation) -> bool:
    return one.path.startswith("/admin/") and any(
        one.rule == rule and part in one.selector for rule, part in THEME
    )


def paths_of(
    context: BrowserContext, addresses: list[Address], everything: Everything
) -> list[str]:
    paths = [path_of(one, everything) for one in addresses if one.name not in NO_PAGES]
    return [path for path in paths if is_page(context, path)]


def site() -> list[Address]:
    return [one for one in list_addresses() if not one.name.startswith("admin:")]


def look_everywhere(
    visitors: Visitors,
    context: BrowserContext,
    addresses: list[Address],
    everything: Everything,
    more: list[str],
) -> None:
    """Fails with the list of what axe finds on the addresses that are pages, and on `more`."""
    paths = paths_of(context, addresses, everything)
    assert len(paths) >= 4
    found = look_through(visitors, context, [*paths, *more])
    assert not found, f"{len(found)} violations:\n{write_list(found)}"


def test_on_the_pages_of_somebody_who_works_in_the_studio(
    visitors: Visitors, everything: Everything
) -> None:
    visitors.expect_status(404)
    keys = {name: image.pk for name, image in everything.pictures.items()}
    states = [one.format(**keys, **everything.arguments) for one in STATES]
    context = enter(visitors, everything.alice)
    look_everywhere(visitors, context, site(), everything, states)


def test_on_the_pages_of_a_visitor(visitors: Visitors, everything: Everything) -> None:
    context = enter(visitors, None)
    look_everywhere(visitors, context, site(), everything, [])


def test_on_the_pages_of_a_studio_where_nothing_has_happened_yet(visitors: Visitors) -> None:
    setup = f"/setup/{make_setup_token()}/"
    assert not (found := look_through(visitors, enter(visitors, None), [setup])), write_list(found)
    dora = enter(visitors, make_user("dora"))
    steps = [f"/accounts/2fa/{name}" for name in ("", "totp/activate/", "webauthn/add/")]
    found = look_through(visitors, dora, ["/", "/gallery/", "/collections/", "/credits/", *steps])
    assert not found, write_list(found)


@pytest.mark.slow("axe looks at some eighty pages")
def test_on_the_pages_of_the_admin_site(visitors: Visitors, everything: Everything) -> None:
    context = enter(visitors, everything.charlie)
    addresses = [one for one in list_addresses() if one.name.startswith("admin:")]
    look_everywhere(visitors, context, addresses, everything, ["/setup/"])
