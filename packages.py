"""The pinned packages: which ones are installed, and which files are taken for them.

    python packages.py lock                        writes requirements.lock anew (needs uv)
    python packages.py select GROUP...             prints what these groups need, for pip
    python packages.py select --with-torch GROUP...
    python packages.py torch REPORT                prints how to install torch, for pip
    python packages.py torch --other REPORT        the same, of another index alone

`pyproject.toml` says what is needed, `constraints.txt` at which version, `requirements.lock` what
that comes to on every system, with the hashes of all files of the public index.

torch is a case of its own: the public index has one build for each system (for Linux with CUDA),
other indexes have others under the same version (`2.13.0+cpu`), whose hashes are theirs to say.
So `make install` asks pip which build it would take: one of the public index is taken by the
lock's hashes, with what its CUDA build needs; another one by the word of the index that somebody
named on purpose. Only the standard library is imported, by whatever Python is at hand.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
LOCK = PROJECT / "requirements.lock"
OLDEST_PYTHON = "3.11"
# torch, and what nothing but its CUDA build brings.
TORCH_BUILD = re.compile(r"torch|triton|(nvidia|cuda)-.*")
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?P<marker> ;[^\\]*)?")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
PARENT = re.compile(r"^ +# +(?:via )?(?!via$)([A-Za-z0-9._-]+)$", re.MULTILINE)


class LockError(Exception):
    """What was asked cannot be done; the message says why in one sentence."""


@dataclass(frozen=True)
class Locked:
    """One package of the lock: where it is needed, the hashes of its files, who needs it."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    parents: frozenset[str]

    def __str__(self) -> str:
        hashes = "".join(f" \\\n    --hash=sha256:{one}" for one in self.hashes)
        return f"{self.name}=={self.version}{self.marker}{hashes}"


def read_lock(text: str) -> dict[str, Locked]:
    """The lock's packages by their normalised names."""
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {one.name: one for one in map(_read_entry, entries) if one}


def _read_entry(text: str) -> Locked | None:
    pin = PIN.match(text)
    if pin is None:
        return None
    parents = frozenset(normalise(name) for name in PARENT.findall(text))
    marker = (pin["marker"] or "").rstrip()
    return Locked(
        normalise(pin["name"]), pin["version"], marker, tuple(HASH.findall(text)), parents
    )


def normalise(name: str) -> str:
    """The one spelling of a package's name that all indexes share."""
    return re.sub(r"[-_.]+", "-", name).lower()


def list_groups() -> dict[str, list[str]]:
    """The groups of `pyproject.toml` with their packages' names; `needed` is what all need."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"needed": project["dependencies"], **project["optional-dependencies"]}
    return {group: [_name_of(line) for line in lines] for group, lines in groups.items()}


def _name_of(requirement: str) -> str:
    return normalise(re.split(r"[\[<>=~! ;]", requirement, maxsplit=1)[0])


def select(groups: Collection[str], *, with_torch: bool) -> Iterator[Locked]:
    """The packages that these groups need, with all that those need.

    Without `with_torch` torch's builds are left out; what every build of torch needs is not.
    Raises LockError for a group that is none, and for a package that the lock lacks.
    """
    locked, known = read_lock(LOCK.read_text(encoding="utf-8")), list_groups()
    if unknown := sorted(set(groups) - known.keys()):
        raise LockError(f"No group is called {unknown[0]}: {', '.join(sorted(known))}.")
    wanted = {name for group in groups for name in known[group]}
    if missing := sorted(wanted - locked.keys()):
        raise LockError(f"The lock lacks {missing[0]}: make lock")
    for name in sorted(_with_all_they_need(wanted, locked)):
        if with_torch or not TORCH_BUILD.fullmatch(name):
            yield locked[name]


def _with_all_they_need(names: set[str], locked: dict[str, Locked]) -> set[str]:
    found: set[str] = set()
    while names - found:
        found |= names
        names = found | {one.name for one in locked.values() if one.parents & found}
    return found


def choose_other_torch(report: str) -> Iterator[str]:
    """The build of another index that pip's dry run chose. Raises LockError if it chose the public
    index's: the other one has none of this version for this machine."""
    for one in json.loads(report)["install"]:
        name, version = normalise(one["metadata"]["name"]), one["metadata"]["version"]
        if name == "torch" and "+" in version:
            yield f"torch=={version}"
            return
    wanted = _torch_build()["torch"].version
    raise LockError(f"That index has no build of torch {wanted} of its own for this machine.")


def choose_torch(report: str) -> Iterator[str]:
    """What pip shall install for the build that its dry run chose, as lines for pip; none where
    torch is there already. Raises LockError for a build that is not the public index's although
    it says so."""
    chosen = {normalise(one["metadata"]["name"]): one for one in json.loads(report)["install"]}
    if "torch" not in chosen:
        return
    version, locked = chosen["torch"]["metadata"]["version"], _torch_build()
    if "+" in version:  # a local version, which the public index takes from nobody
        print(f"torch {version}: by the word of the index that offers it", file=sys.stderr)
        yield f"torch=={version}"
        return
    archive = chosen["torch"]["download_info"]["archive_info"]
    if archive.get("hashes", {}).get("sha256") not in locked["torch"].hashes:
        raise LockError(f"This build of torch {version} is none of those that the lock knows.")
    yield from map(str, locked.values())


def _torch_build() -> dict[str, Locked]:
    locked = read_lock(LOCK.read_text(encoding="utf-8"))
    return {name: one for name, one in locked.items() if TORCH_BUILD.fullmatch(name)}


def write_lock() -> None:
    """Resolves everything for every system and writes the lock; raises LockError where uv is not
    there or finds no answer. What stands in the lock and still fits stays as it is."""
    command = [
        *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml"),
        *("--all-extras", "--constraints", "constraints.txt", "--no-config", "--quiet"),
        *("--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--system-certs"),
        # A virtual environment has its own pip: any will do.
        *("--no-emit-package", "pip"),
        *("--custom-compile-command", "make lock", "--output-file", LOCK.name),
    ]
    try:
        subprocess.run(command, cwd=PROJECT, check=True)  # noqa: S603 - our own words
    except (OSError, subprocess.CalledProcessError) as error:
        raise LockError(f"uv did not write {LOCK.name}: {error}") from error


def main(words: list[str]) -> int:
    """The exit status: 0, 1 with a sentence, or 2 where the words are none of the above."""
    try:
        match words:
            case ["lock"]:
                write_lock()
            case ["select", "--with-torch", *groups] if groups:
                _print(select(groups, with_torch=True))
            case ["select", *groups] if groups:
                _print(select(groups, with_torch=False))
            case ["torch", "--other", report]:
                _print(choose_other_torch(Path(report).read_text(encoding="utf-8")))
            case ["torch", report]:
                _print(choose_torch(Path(report).read_text(encoding="utf-8")))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _print(lines: Iterable[object]) -> None:
    for line in list(lines):  # all or nothing: a refusal leaves no half list
        print(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
