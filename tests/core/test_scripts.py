"""The scripts of `static/js`: every file has a name, every name that is imported has a file."""

import json
import re
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.template.loader import render_to_string

from tests.pages import serve_plain_static

SCRIPTS = Path(__file__).parents[2] / "static" / "js"
FILES = {one.relative_to(SCRIPTS).as_posix() for one in SCRIPTS.rglob("*.js")}
IMPORTED = re.compile(r"""(?:from|import|import\()\s*["']([^"']+)["']""")


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    """Static files keep their names."""
    serve_plain_static(settings)


@pytest.mark.usefixtures("plain_static")
def test_the_import_map_is_the_folder() -> None:
    assert _imports() == {
        f"darkroom/{name.removesuffix('.js')}": f"/static/js/{name}" for name in FILES
    }


def test_a_script_has_the_name_under_which_browsers_may_keep_it(
    tmp_path: Path, settings: LazySettings
) -> None:
    manifest = {
        "version": "1.1",
        "hash": "",
        "paths": {f"js/{one}": f"js/{one}?kept" for one in FILES},
    }
    (tmp_path / "staticfiles.json").write_text(json.dumps(manifest))
    backend = "whitenoise.storage.CompressedManifestStaticFilesStorage"
    storages = {"staticfiles": {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}}
    settings.STORAGES = {**settings.STORAGES, **storages}
    assert _imports()["darkroom/gallery/wall"] == "/static/js/gallery/wall.js?kept"


@pytest.mark.usefixtures("plain_static")
def test_scripts_import_each_other_by_names_of_the_map() -> None:
    asked = {name for one in FILES for name in IMPORTED.findall((SCRIPTS / one).read_text())}
    assert asked <= _imports().keys()
    assert len(asked) > 40


def _imports() -> dict[str, str]:
    page = render_to_string("core/_modules.html", {"CSP_NONCE": "once"})
    written = re.fullmatch(r'<script type="importmap" nonce="once">(.*)</script>\s*', page)
    assert written
    imports: dict[str, str] = json.loads(written[1])["imports"]
    return imports
