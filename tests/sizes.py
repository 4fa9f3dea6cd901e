"""The gate for sizes: half of the functions are short, nearly all are, and so is every file, and
every line of a template.

A function's lines are those of its code, without signature and docstring.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
GIT_S = 60.0
HALF_LINES, NEARLY_ALL_LINES, FILE_LINES = 7, 35, 400
TEMPLATE_LETTERS = 160


def main() -> int:
    """Exit status 1 if a size is over; each that is, is printed."""
    files = _read_files("webapp/*.py", "worker/*.py", "tests/*.py")
    templates = _read_files("templates")
    told = [*_find_long_files(files), *_find_long_functions(files), *_find_long_lines(templates)]
    print(*told, sep="\n", end="\n" if told else "")
    return 1 if told else 0


def _read_files(*patterns: str) -> dict[str, str]:
    listed = ["git", "ls-files", "-z", *patterns]
    found = subprocess.run(
        listed, cwd=PROJECT, check=True, capture_output=True, text=True, timeout=GIT_S
    )
    paths = map(PROJECT.joinpath, found.stdout.rstrip("\0").split("\0"))
    there = [path for path in paths if path.exists()]
    return {str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8") for path in there}


def _find_long_files(files: dict[str, str]) -> Iterator[str]:
    for name, text in files.items():
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield f"{name}: {lines} lines, at most {FILE_LINES}"


def _find_long_lines(templates: dict[str, str]) -> Iterator[str]:
    for name, text in templates.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if len(line) > TEMPLATE_LETTERS:
                yield f"{name}:{number}: {len(line)} letters, at most {TEMPLATE_LETTERS}"


def _find_long_functions(files: dict[str, str]) -> Iterator[str]:
    product = {name: text for name, text in files.items() if not name.startswith("tests/")}
    sizes = sorted(size for text in product.values() for size in _measure(text))
    for share, most in ((0.5, HALF_LINES), (0.99, NEARLY_ALL_LINES)):
        lines = sizes[int(share * len(sizes))]
        if lines > most:
            yield f"{share:.0%} of the functions have up to {lines} lines, at most {most}"


def _measure(text: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            code = node.body[1:] if ast.get_docstring(node) else node.body
            yield (node.end_lineno or 0) - code[0].lineno + 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
