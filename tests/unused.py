"""The gate for what vulture does not read: styles, scripts, templates and settings that no line
names. `tests/dead_code.py` prints what is found here.
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from celery.app.defaults import SETTING_KEYS

PROJECT = Path(__file__).resolve().parent.parent
WORD = re.compile(r"[A-Za-z_][\w-]*")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
SELECTOR = re.compile(r"([^{};]+)\{")
CLASS_OR_ID = re.compile(r"[.#]([A-Za-z_][\w-]*)")
# `tone-{{ bar.tone }}`, `tone-${tone}`, f"tone-{tone}": any word may follow.
STEM = re.compile(r"([A-Za-z][\w-]*-|[\w/]+/)(?:\{\{|\$\{|\{)")
EXPORT = re.compile(r"^export (?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)
IMPORT = re.compile(
    r'import\s*(?:\{([^}]*)\}|\*\s*as\s+\w+)?\s*(?:from\s*)?\(?\s*"darkroom/([\w/-]+)"'
)
ADMIN_SITE = ("django.contrib.admin", "unfold")
WITH_TEMPLATES = ("django", "allauth", "unfold")
# Settings that packages read, by what their names begin with: where their names stand.
SETTINGS_OF = {
    "ACCOUNT_": "allauth/account/app_settings.py",
    "MFA_": "allauth/mfa/app_settings.py",
    "UNFOLD": "unfold/settings.py",
    "CONTENT_SECURITY_POLICY": "csp/utils.py",
}


def find_unused() -> Iterator[str]:
    """A sentence about each class, id, export, script, template and setting that is not used."""
    pages = _read("templates")
    scripts = _read("static/js")
    python = _read("webapp")
    everything = [*pages.values(), *scripts.values(), *python.values()]
    yield from _find_unused_styles(everything)
    yield from _find_unused_scripts(scripts, "\n".join(pages.values()))
    yield from _find_unused_templates(pages, python)
    yield from _find_unread_settings()


def _read(folder: str) -> dict[str, str]:
    """The texts below a folder of the project, by their paths in it."""
    kinds = {".html", ".txt", ".js", ".css", ".py"}
    texts = (path for path in (PROJECT / folder).rglob("*") if path.suffix in kinds)
    return {str(path.relative_to(PROJECT / folder)): path.read_text("utf-8") for path in texts}


def _find_unused_styles(sources: list[str]) -> Iterator[str]:
    words = {word for text in sources for word in WORD.findall(text)}
    stems = tuple({stem for text in sources for stem in STEM.findall(text)})
    on_the_admin_site = {word for text in _admin_site() for word in WORD.findall(text)}
    for name, style in _read("static/css").items():
        known = words | on_the_admin_site if name.startswith("admin") else words
        for one in sorted(_named_in_style(style)):
            tail = one.removeprefix("field-") if name.startswith("admin") else one
            if not (tail in known or one.startswith(stems)):
                yield f"static/css/{name}: nothing has the class or id {one}"


def _named_in_style(style: str) -> set[str]:
    selectors = SELECTOR.findall(COMMENT.sub("", style))
    return {one for selector in selectors for one in CLASS_OR_ID.findall(selector)}


def _admin_site() -> Iterator[str]:
    for package in ADMIN_SITE:
        for path in _folder_of(package).rglob("*"):
            if path.suffix in {".html", ".py"}:
                yield path.read_text("utf-8")


def _folder_of(package: str) -> Path:
    found = importlib.util.find_spec(package)
    return Path(found.origin or "").parent if found else Path()


def _find_unused_scripts(scripts: dict[str, str], pages: str) -> Iterator[str]:
    taken = {found for text in scripts.values() for found in IMPORT.findall(text)}
    for name, text in scripts.items():
        module = name.removesuffix(".js")
        imports = [names for names, imported in taken if imported == module]
        if not imports and f"js/{name}" not in pages and f"darkroom/{module}" not in pages:
            yield f"static/js/{name}: nothing imports it"
        wanted = {word for names in imports for word in WORD.findall(names)}
        for one in EXPORT.findall(text):
            if one not in wanted and "" not in imports:
                yield f"static/js/{name}: nothing imports {one}"


def _find_unused_templates(pages: dict[str, str], python: dict[str, str]) -> Iterator[str]:
    """Those that replace a package's own are used by it."""
    folders = [
        folder
        for package in WITH_TEMPLATES
        for folder in _folder_of(package).rglob("templates")
        if folder.is_dir()
    ]
    sources = [*pages.values(), *python.values()]
    stems = tuple({stem for text in sources for stem in STEM.findall(text) if "/" in stem})
    for name in pages:
        is_named = any(f'"{name}"' in text for text in sources) or name.startswith(stems)
        if not is_named and not any((folder / name).exists() for folder in folders):
            yield f"templates/{name}: nothing names it"


def _find_unread_settings() -> Iterator[str]:
    assigned = re.findall(r"^ *([A-Z]\w+)\b.* =", _read("webapp")["settings.py"], re.MULTILINE)
    known = {prefix: _words_of(path) for prefix, path in SETTINGS_OF.items()}
    known["CELERY_"] = set(SETTING_KEYS)
    for name in assigned:
        for prefix, words in known.items():
            if name.startswith(prefix) and _key(name, prefix) not in words:
                yield f"webapp/settings.py: no package reads {name}"


def _words_of(path: str) -> set[str]:
    package, _, rest = path.partition("/")
    return set(WORD.findall((_folder_of(package) / rest).read_text("utf-8").lower()))


def _key(name: str, prefix: str) -> str:
    """What the package calls the setting: without its prefix if that is more than the name."""
    return (name.removeprefix(prefix) or name).lower()
