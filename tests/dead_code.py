"""The gate for dead code: what no line of Python, template or script names.

Vulture reads the Python. Django, Celery and pytest find much by its name in a string, a template
or a parameter, so every word there counts as a use. What frameworks call by a name of their own
stands in `[tool.vulture]` of `pyproject.toml`, with who calls it.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from django.conf import global_settings
from vulture.core import Vulture

PROJECT = Path(__file__).resolve().parent.parent
GIT_S = 60.0
READ = ("webapp", "worker", "tests", "manage.py", "packages.py")
WORD = re.compile(r"[A-Za-z_]\w*")


def main() -> int:
    """Exit status 1 if something is never used; each is printed with its file and line."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["vulture"]
    vulture = Vulture(
        ignore_names=settings["ignore_names"], ignore_decorators=settings["ignore_decorators"]
    )
    vulture.scavenge([str(PROJECT / one) for one in READ])
    for name in {*_named_outside(), *dir(global_settings)}:
        vulture.used_names.add(name)
    # A `yield` after `raise` makes a generator that fails.
    unused = [one for one in vulture.get_unused_code() if one.typ != "unreachable_code"]
    for one in unused:
        print(one.get_report())
    return 1 if unused else 0


def _named_outside() -> Iterator[str]:
    listed = ["git", "ls-files", "-z", "*.html", "*.txt", "static/js", "*.py", "*.toml"]
    found = subprocess.run(
        listed, cwd=PROJECT, check=True, capture_output=True, text=True, timeout=GIT_S
    )
    for path in map(PROJECT.joinpath, found.stdout.rstrip("\0").split("\0")):
        text = path.read_text(encoding="utf-8")
        yield from _named_in_python(path, text) if path.suffix == ".py" else WORD.findall(text)


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
