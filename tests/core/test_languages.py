"""Another language is one more file in the locale folder, and nothing else."""

import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from webapp.core.languages import offered_languages

KOREAN = Path(settings.LOCALE_PATHS[0]) / "ko" / "LC_MESSAGES" / "django.mo"


def add(locales: Path, name: str) -> None:
    folder = locales / name / "LC_MESSAGES"
    folder.mkdir(parents=True)
    shutil.copy(KOREAN, folder)


def test_english_needs_no_file(tmp_path: Path) -> None:
    assert offered_languages(tmp_path) == [("en", "English")]


def test_a_language_is_offered_under_its_own_name_once_its_file_is_there(tmp_path: Path) -> None:
    add(tmp_path, "de")
    add(tmp_path, "pt_BR")
    assert offered_languages(tmp_path) == [
        ("de", "Deutsch"),
        ("en", "English"),
        ("pt-br", "Português Brasileiro"),
    ]


def test_a_folder_of_no_language_is_refused_by_name(tmp_path: Path) -> None:
    add(tmp_path, "klingon")
    with pytest.raises(ImproperlyConfigured, match="klingon"):
        offered_languages(tmp_path)


def test_the_studio_offers_english_and_korean() -> None:
    assert settings.LANGUAGES == [("en", "English"), ("ko", "한국어")]
