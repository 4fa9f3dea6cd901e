"""Two versions of the web at once on one database: this one, beside one that is a migration ahead.

The later version is a copy of the sources whose images have a column more. It prepares the database
and runs the whole studio; the web of this version runs beside it, as it does while a studio is
upgraded one process after the other.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.faults.hosts import running, wait_for
from tests.trial import PROJECT, Trial, Visitor, free_port
from webapp.embedded.paths import VarLayout

pytestmark = pytest.mark.faults

PATIENCE_S = 120.0
LINKED = ("worker", "templates", "static")
COPIED = ("webapp", "migrations")
MIGRATION = """from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('generation', '{last}')]

    operations = [
        migrations.AddField(
            model_name='image',
            name='tone',
            field=models.CharField(db_default='plain', default='plain', max_length=20),
        ),
    ]
"""
BEFORE = "    is_favourite = "
ADDED = '    tone = models.CharField(max_length=20, default="plain", db_default="plain")\n'


def later_version(folder: Path) -> Path:
    """The sources of a version that is one migration ahead."""
    for name in LINKED:
        (folder / name).symlink_to(PROJECT / name)
    for name in COPIED:
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder / name)
    models = folder / "webapp" / "generation" / "models.py"
    text = models.read_text("utf-8")
    assert text.count(BEFORE) == 1
    models.write_text(text.replace(BEFORE, ADDED + BEFORE), "utf-8")
    migrations = folder / "migrations" / "generation"
    last = max(path.stem for path in migrations.glob("0*.py"))
    (migrations / f"{int(last[:4]) + 1:04}_tone.py").write_text(MIGRATION.format(last=last))
    return folder


@pytest.fixture
def upgraded() -> Iterator[Trial]:
    """A studio of the later version."""
    with tempfile.TemporaryDirectory(prefix="darkroom-later-") as folder:
        checkout = Path(folder) / "later"
        checkout.mkdir()
        trial = Trial(
            Path(folder), {"DARKROOM_TORCH_THREADS": "1"}, checkout=later_version(checkout)
        )
        with trial.running():
            trial.offer_tiny_model()
            yield trial


def test_people_go_back_and_forth_between_two_versions_and_the_books_agree(
    upgraded: Trial,
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "webapp.serve", "--port", str(port)]
    with running(command, folder=upgraded.folder, name="before", env=upgraded.environment):
        wait_for(("127.0.0.1", port))
        before = Visitor(f"http://127.0.0.1:{port}")
        before.sign_up(email="ada@example.org")
        later = Visitor(upgraded.base_url)
        later.cookies, later.opener = before.cookies, before.opener  # one browser
        ids = [*before.request_images(prompt="a fox", count="2")]
        ids += later.request_images(prompt="an owl", count="2")
        ids += before.request_images(prompt="a fox", count="1")
        before.wait_until_ended(ids[:2], timeout_s=PATIENCE_S)
        later.wait_until_ended(ids, timeout_s=PATIENCE_S)
        for visitor in (before, later):
            assert {image["state"] for image in visitor.state(ids)["images"]} == {"stored"}
            assert visitor.get(f"/images/{ids[0]}/file/")[:4] == b"\x89PNG"
            assert ids[0].encode() in visitor.get("/gallery/")
        assert before.balance() == later.balance()
        check_by_both(upgraded)
        assert tones(upgraded) == {"plain"}


def check_by_both(trial: Trial) -> None:
    """The ledger is clean as either version reads it."""
    for checkout in (trial.checkout, PROJECT):
        subprocess.run(
            [sys.executable, str(checkout / "manage.py"), "check_credits"],
            cwd=checkout,
            env=trial.environment,
            check=True,
            timeout=PATIENCE_S,
        )


def tones(trial: Trial) -> set[str]:
    """What the later version's column has, also of images that this version wrote."""
    url = VarLayout(trial.var).postgres_url()
    with closing(psycopg.connect(url)) as database:
        return {tone for (tone,) in database.execute("SELECT tone FROM generation_image")}
