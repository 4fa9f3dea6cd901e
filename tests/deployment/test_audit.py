"""`make audit` is clean only if it looked: at every package, by an index that answered."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import audit
from tests.audit import find_unaudited, find_vulnerable, read_report

CLEAN = {"name": "django", "version": "5.2.19", "vulns": []}
SKIPPED = {"name": "celery", "skip_reason": "Dependency not found on PyPI: celery (5.7.0)"}
KNOWN = {"id": "PYSEC-2026-1", "fix_versions": ["5.2.20"], "description": "", "aliases": []}


@pytest.fixture
def audit_says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`make audit` with pip-audit's findings about these packages in place of the whole lock."""

    def run(*found: dict[str, Any]) -> int:
        monkeypatch.setattr(audit, "run_pip_audit", lambda _words: list(found))
        monkeypatch.setattr(audit, "read_lock", lambda _text: {})
        return audit.main()

    return run


def test_it_is_clean_when_every_package_was_looked_up(
    audit_says: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit_says(CLEAN) == 0
    assert "1 packages were audited; none has a known vulnerability." in capsys.readouterr().out


def test_packages_that_could_not_be_looked_up_fail_it_with_their_number(
    audit_says: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit_says(CLEAN, SKIPPED) == 1
    said = capsys.readouterr().out
    assert "1 of 2 packages could not be audited (celery)" in said
    assert "not found on PyPI" in said
    assert "vulnerability" not in said


def test_an_audit_of_nothing_fails(audit_says: Callable[..., int]) -> None:
    assert audit_says() == 1


def test_a_package_that_the_report_leaves_out_counts_as_not_looked_up() -> None:
    (sentence,) = find_unaudited([CLEAN], ["django", "kombu"])
    assert sentence.startswith("1 of 2 packages could not be audited (kombu)")
    assert list(find_unaudited([CLEAN], ["django"])) == []


def test_known_vulnerabilities_are_listed_with_what_mends_them(
    audit_says: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit_says({**CLEAN, "vulns": [KNOWN]}) == 1
    assert "django 5.2.19: PYSEC-2026-1, mended in 5.2.20" in capsys.readouterr().out
    (sentence,) = find_vulnerable([{**CLEAN, "vulns": [{**KNOWN, "fix_versions": []}]}])
    assert sentence.endswith("mended in no version yet")


@pytest.mark.parametrize("text", ["", "{}", "[]", "Traceback", json.dumps({"fixes": []})])
def test_no_report_is_no_clean_report(text: str) -> None:
    with pytest.raises(ValueError, match="the index is away"):
        read_report(text, complaint="WARNING: something\nthe index is away\n")
    with pytest.raises(ValueError, match="pip-audit said nothing"):
        read_report(text)


def test_an_index_that_cannot_be_reached_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real pip-audit, behind a proxy that nobody listens at."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert audit.main() == 1
    assert "The packages were not audited: " in capsys.readouterr().out
