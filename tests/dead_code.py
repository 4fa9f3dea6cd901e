"""The gate for dead code: what no line of Python, template or script names.

Vulture reads the Python. Django, Celery and pytest find much by its name in a string, a template
or a parameter, so every word there counts as a use. What replaces a part of a package's class is
called by that package. What is called by another name of its own stands in `[tool.vulture]` of
`pyproject.toml`, with who calls it. `tests/unused.py` reads the rest.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import django
from django.conf import global_settings
from vulture.core import Item, Vulture

from tests.unused import find_unused

PROJECT = Path(__file__).resolve().parent.parent
GIT_S = 60.0
READ = ("webapp", "worker", "tests", "manage.py", "packages.py")
WORD = re.compile(r"[A-Za-z_]\w*")
ALLOWED = re.compile(r"^\[tool\.vulture\]$.*?(?=^\[)", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Exit status 1 if something is never used; each is printed with its file and line."""
    told = [*(one.get_report() for one in _find_unused_python()), *find_unused()]
    print(*told, sep="\n", end="\n" if told else "")
    return 1 if told else 0


def _find_unused_python() -> list[Item]:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["vulture"]
    vulture = Vulture(
        ignore_names=settings["ignore_names"], ignore_decorators=settings["ignore_decorators"]
    )
    vulture.scavenge([str(PROJECT / one) for one in READ])
    for name in {*_named_outside(), *dir(global_settings)}:
        vulture.used_names.add(name)
    # A `yield` after `raise` makes a generator that fails.
    unused = [one for one in vulture.get_unused_code() if one.typ != "unreachable_code"]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()
    return [one for one in unused if not _replaces_a_packages_own(one)]


def _replaces_a_packages_own(one: Item) -> bool:
    """Whether it stands in a class of the studio whose base, in a package, has the same name."""
    path = Path(one.filename).relative_to(PROJECT)
    owner = ".".join(_classes_around(PROJECT / path, one.first_lineno))
    if path.parts[0] != "webapp" or not owner:
        return False
    within = attrgetter(owner)(import_module(".".join(path.with_suffix("").parts)))
    bases = (base for base in within.__mro__ if not base.__module__.startswith("webapp"))
    return any(one.name in vars(base) for base in bases)


def _classes_around(path: Path, line: int) -> Iterator[str]:
    """The names of the classes that the line stands in, the outermost first."""
    inside: ast.AST | None = ast.parse(path.read_text(encoding="utf-8"))
    while inside is not None:
        classes = (one for one in ast.iter_child_nodes(inside) if isinstance(one, ast.ClassDef))
        inside = next((one for one in classes if one.lineno < line <= (one.end_lineno or 0)), None)
        if inside is not None:
            yield inside.name


def _named_outside() -> Iterator[str]:
    listed = ["git", "ls-files", "-z", "*.html", "*.txt", "static/js", "*.py", "*.toml"]
    found = subprocess.run(
        listed, cwd=PROJECT, check=True, capture_output=True, text=True, timeout=GIT_S
    )
    for path in map(PROJECT.joinpath, found.stdout.rstrip("\0").split("\0")):
        text = path.read_text(encoding="utf-8")
        is_python = path.suffix == ".py"
        yield from (
            _named_in_python(path, text) if is_python else WORD.findall(ALLOWED.sub("", text))
        )


def _named_in_python(path: Path, text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Constant(value=str() as words) if len(words) < 200:
                yield from WORD.findall(words)
            case ast.FunctionDef(decorator_list=marks) if any(map(_is_automatic, marks)):
                yield node.name
            case ast.arguments() if path.is_relative_to(PROJECT / "tests"):
                yield from (one.arg for one in [*node.args, *node.kwonlyargs])


def _is_automatic(decorator: ast.expr) -> bool:
    return "autouse=True" in ast.unparse(decorator)


if __name__ == "__main__":
    sys.exit(main())
