"""Which languages the pages come in: English, and whatever lies translated in the locale folder."""

from pathlib import Path

from django.conf.locale import LANG_INFO
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import to_language

SOURCE = "en"


def offered_languages(locales: Path) -> list[tuple[str, str]]:
    """(code, the language's own name) of English and of every compiled catalogue below `locales`
    (`<locale>/LC_MESSAGES/django.mo`), by code.

    Raises ImproperlyConfigured for a folder named after no language that Django knows.
    """
    found = {
        to_language(path.parent.parent.name) for path in locales.glob("*/LC_MESSAGES/django.mo")
    }
    if unknown := sorted(found - LANG_INFO.keys()):
        raise ImproperlyConfigured(f"{locales} has a folder for no known language: {unknown[0]}.")
    return [(code, str(LANG_INFO[code]["name_local"])) for code in sorted(found | {SOURCE})]
