"""Text that no database keeps: 400 with a sentence at every door, and never a 500."""

import re
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from django.urls import resolve

from tests.security.addresses import list_addresses
from tests.security.test_access import EXPECTED, Studio, admin_url, loaded_handler, studio, url_of
from webapp import env
from webapp.core.gate import CleanBody
from webapp.generation.models import Generation

__all__ = ["loaded_handler", "studio"]
READ = re.compile(r"""(?:GET|data|given|query|request\.GET)(?:\.get\(|\[)["']([a-z_]+)["']""")
OF_LISTS = ("q", "o", "p", "all", "e", "_changelist_filters", "_popup", "_to_field", "next")
JSON = {"Accept": "application/json"}


def names_read() -> set[str]:
    """Every parameter of an address that the sources read, and those of the admin site's lists."""
    sources = "\n".join(path.read_text("utf-8") for path in Path(env.__file__).parent.rglob("*.py"))
    names = set(READ.findall(sources)) | set(OF_LISTS)
    for page in admin.site._registry.values():
        for one in page.list_filter:
            name = getattr(one, "parameter_name", one)
            names |= {f"{name}__exact", f"{name}__id__exact", str(name)}
    return names


NAMES = sorted(names_read())


def test_the_parameters_that_once_broke_a_page_are_among_those_that_are_tried() -> None:
    assert {"model", "kind", "q", "before", "image", "ids", "state__exact"} <= set(NAMES)


def statuses(studio: Studio, urls: list[str], queries: list[str]) -> dict[str, int]:
    asked = [f"{url}?{query}" for url, query in product(urls, queries)]
    got = {one: studio.people["charlie"].get(one).status_code for one in asked}
    return {one: status for one, status in got.items() if status != 400}


def test_no_address_breaks_on_a_nul_in_its_parameters(studio: Studio) -> None:
    """Every address with every name that is read anywhere."""
    urls = [url_of(name, studio) for name in EXPECTED]
    urls += [admin_url(one.route, studio) for one in list_addresses() if "admin:" in one.name]
    assert statuses(studio, urls, [urlencode(dict.fromkeys(NAMES, "\0"))]) == {}


def test_each_parameter_is_looked_at_by_itself(studio: Studio) -> None:
    urls = ["/gallery/", "/admin/accounts/user/"]
    assert statuses(studio, urls, [urlencode({name: "a\0b"}) for name in NAMES]) == {}


def test_no_address_breaks_on_a_nul_in_a_form(studio: Studio) -> None:
    names = {"model", "prompt", "kind", "image", "email", "name", "amount", "reason", "code", "on"}
    for name, expected in EXPECTED.items():
        if expected.method == "post":
            form = dict.fromkeys(names, "a\0b")
            answer = studio.people["alice"].post(url_of(name, studio), form, headers=JSON)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


@pytest.mark.parametrize("path", ["/s/a%00b/", "/gallery/%00", "/static/a%00b", "/%00"])
def test_a_nul_in_a_path_is_refused(studio: Studio, path: str) -> None:
    assert studio.people["anonymous"].get(path).status_code == 400


@pytest.mark.parametrize("query", ["q=%ff", "q=%ed%a0%80", "%00=1", "kind=%C3"])
def test_what_is_not_utf_8_in_an_address_is_refused_and_not_mended(
    studio: Studio, query: str
) -> None:
    assert studio.people["alice"].get(f"/gallery/?{query}").status_code == 400


def test_a_quoted_cookie_cannot_smuggle_one_in(studio: Studio) -> None:
    """A cookie's value may write characters as octal numbers."""
    client = Client()
    client.cookies["sessionid"] = "a"
    client.cookies["sessionid"]._coded_value = '"a\\000b"'  # type: ignore[attr-defined]
    assert client.get("/").status_code == 400


def test_the_sentence_names_the_field_and_says_what_is_wrong(studio: Studio) -> None:
    form = {"model": "a\0", "prompt": "a fox"}
    answer = studio.people["alice"].post("/generations/", form, headers=JSON).json()
    assert answer["error"]["field"] == "model"
    assert "can't be stored" in answer["error"]["message"]
    assert Generation.objects.count() == 1


def test_the_name_of_a_file_is_looked_at_too(rf: RequestFactory) -> None:
    file = SimpleUploadedFile("fox.png", b"")
    file._name = "f\0x.png"  # type: ignore[attr-defined]  # Django's own parser drops it
    request = rf.post("/uploads/")
    request._files = request.FILES  # type: ignore[attr-defined]
    request.FILES["file"] = file
    assert CleanBody(lambda _request: None)(request) is None  # type: ignore[arg-type,return-value]
    answer = CleanBody(lambda _request: None).process_view(request, *resolve("/uploads/"))  # type: ignore[arg-type,return-value]
    assert answer is not None
    assert answer.status_code == 400


@pytest.mark.parametrize("body", [r'{"a": ["\u0000"]}', r'{"a\u0000": 1}', r'[[{"b": "\ud800"}]]'])
def test_json_is_looked_through(rf: RequestFactory, body: str) -> None:
    request = rf.post("/generations/", body, content_type="application/json", headers=JSON)
    answer: Any = CleanBody(lambda _request: None).process_view(request)  # type: ignore[arg-type,return-value]
    assert answer.status_code == 400


@pytest.mark.parametrize("body", ['{"a": "fox 🦊"}', "not json", "[" * 100_000])
def test_json_that_can_be_kept_or_not_be_read_is_the_views(rf: RequestFactory, body: str) -> None:
    request = rf.post("/generations/", body, content_type="application/json")
    assert CleanBody(lambda _request: None).process_view(request) is None  # type: ignore[arg-type,return-value]
