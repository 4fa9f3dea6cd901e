"""Environment variables: a wrong value stops the start and names the variable."""

import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from webapp import env
from webapp.database import celery_broker, django_database
from webapp.media import media_problem

NAME = "DARKROOM_PROBE"


@pytest.mark.parametrize(
    ("value", "reader", "sentence"),
    [
        ("maybe", lambda: env.boolean("DARKROOM_PROBE", default=True), "say true or false"),
        ("", lambda: env.integer("DARKROOM_PROBE", 12, minimum=0, maximum=9), "0 to 9"),
        ("many", lambda: env.integer("DARKROOM_PROBE", 1, minimum=0, maximum=9), "whole number"),
        ("1.5", lambda: env.integer("DARKROOM_PROBE", 1, minimum=0, maximum=9), "whole number"),
        ("-1", lambda: env.integer("DARKROOM_PROBE", 1, minimum=0, maximum=9), "0 to 9"),
        ("10", lambda: env.integer("DARKROOM_PROBE", 1, minimum=0, maximum=9), "0 to 9"),
        ("much", lambda: decimal_up_to_nine(), "decimal number"),
        ("NaN", lambda: decimal_up_to_nine(), "decimal number"),
        ("Infinity", lambda: decimal_up_to_nine(), "decimal number"),
        ("0.0000001", lambda: decimal_up_to_nine(), "six decimals"),
        ("-1", lambda: decimal_up_to_nine(), "0 to 9"),
        ("ajar", lambda: env.choice("DARKROOM_PROBE", "a", allowed={"b", "a"}), "one of a, b"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, value: str, reader: Callable[[], object], sentence: str
) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured, match=f"{NAME}=.*{sentence}"):
        reader()


def decimal_up_to_nine() -> Decimal:
    return env.decimal(NAME, "1", minimum=Decimal(0), maximum=Decimal(9))


@pytest.mark.parametrize(
    ("word", "value"), [("Yes", True), ("on", True), ("0", False), ("", False)]
)
def test_many_words_say_true_or_false(
    monkeypatch: pytest.MonkeyPatch, word: str, value: bool
) -> None:
    monkeypatch.setenv(NAME, word)
    assert env.boolean(NAME, default=not value) is value


def test_an_empty_variable_means_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "")
    assert env.text(NAME, "usual") == "usual"
    assert env.integer(NAME, 7, minimum=0, maximum=9) == 7
    assert env.words(NAME, "a, b,,") == ["a", "b"]


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))
    assert env.secret(NAME) == "from the file"
    monkeypatch.setenv(NAME, "from the variable")
    assert env.secret(NAME) == "from the variable"


def test_a_secret_file_that_cannot_be_read_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "nothing"))
    with pytest.raises(ImproperlyConfigured, match=f"{NAME}_FILE=.*cannot be read"):
        env.secret(NAME)


def test_a_database_url_that_is_none_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL is not a PostgreSQL URL"):
        django_database("mysql://somewhere/else", pooled=False)


def test_a_database_url_is_taken_apart_with_its_options() -> None:
    found = django_database("postgresql://ada:p%40ss@db:6432/studio?sslmode=require", pooled=True)
    assert [found[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")] == [
        "studio",
        "ada",
        "p@ss",
        "db",
        "6432",
    ]
    assert found["OPTIONS"]["sslmode"] == "require"
    assert "pool" in found["OPTIONS"]


@pytest.mark.parametrize(
    ("redis_url", "broker"),
    [
        ("redis://:secret@valkey:6379/0", "redis://:secret@valkey:6379/0"),
        ("unix:///run/valkey.sock?db=2", "redis+socket:///run/valkey.sock?virtual_host=2"),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock?virtual_host=0"),
    ],
)
def test_celery_spells_a_socket_in_its_own_way(redis_url: str, broker: str) -> None:
    assert celery_broker(redis_url) == broker


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_HTTPS", "true"),
        ("DARKROOM_LEASE_S", "5"),
        ("DARKROOM_SIGNUP", "ajar"),
        ("DARKROOM_STARTING_CREDITS", "a lot"),
        ("DARKROOM_PRICE_PER_IMAGE", "-0.2"),
        ("DARKROOM_S3_ENDPOINT", "s3.example.org"),
        ("DARKROOM_STORAGE", "bucket"),
    ],
)
def test_the_studio_does_not_start_on_a_wrong_setting(name: str, value: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import webapp.settings"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DARKROOM_PUBLIC_URL": "", name: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert said.returncode == 1
    assert name in said.stderr.strip().splitlines()[-1]


def test_behind_pgbouncer_nothing_outlives_a_transaction() -> None:
    """Each transaction may run on another connection of the server's."""
    url = "postgresql://ada@db.example/darkroom"
    direct, through = (
        django_database(url, pooled=True, through_pgbouncer=is_so) for is_so in (False, True)
    )
    assert direct["DISABLE_SERVER_SIDE_CURSORS"] is False
    assert through["DISABLE_SERVER_SIDE_CURSORS"] is True


@pytest.mark.parametrize(
    ("storage", "bucket", "send", "public_endpoint", "problem"),
    [
        ("bucket", "", "web", "", "needs DARKROOM_S3_BUCKET"),
        ("bucket", "images", "nginx", "", "for images in a folder"),
        ("folder", "images", "bucket", "https://s3.example.org", "for images in a bucket"),
        ("bucket", "images", "bucket", "", "needs DARKROOM_S3_ENDPOINT or DARKROOM_S3_PUBLIC"),
        ("bucket", "images", "bucket", "https://s3.example.org", ""),
        ("folder", "images", "nginx", "", ""),
        ("folder", "", "web", "", ""),
    ],
)
def test_settings_of_the_storage_that_do_not_go_together_are_refused(
    storage: str, bucket: str, send: str, public_endpoint: str, problem: str
) -> None:
    told = media_problem(storage=storage, bucket=bucket, send=send, public_endpoint=public_endpoint)
    assert problem in told
    assert bool(told) == bool(problem)
