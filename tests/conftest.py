"""The people every test knows: alice owns what a test is about, bob is another user, charlie an
administrator. The servers they live in are started by `tests.servers`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import TransactionTestCase
from django.utils import translation
from pytest_django import DjangoDbBlocker

from tests.emptying import empty_database, remember_first_rows
from tests.servers import TEMPLATE


@pytest.fixture(autouse=True)
def _fast_and_private(settings: LazySettings, tmp_path: Path) -> Iterator[None]:
    """Quick password hashes, media of the test's own, and no language left by another test."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.MEDIA_ROOT = tmp_path / "media"
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Whether the database came migrated, from the template of the run."""
    return TEMPLATE in os.environ


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix() -> None:
    """No suffix: every worker has a PostgreSQL of its own."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The tests' database, which transactional tests leave as the migrations made it."""
    with django_db_blocker.unblock():
        remember_first_rows()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_database)
        yield


@pytest.fixture
def valkey_is_empty() -> Iterator[None]:
    """No doorbell, progress or flag of another test."""
    from webapp.core.valkey import valkey

    valkey().flushdb()
    yield
    valkey().flushdb()


@pytest.fixture
def alice(db: None):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Owns what the test is about."""
    from tests.people import make_user

    return make_user("alice")


@pytest.fixture
def bob(db: None):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Another user of the same studio."""
    from tests.people import make_user

    return make_user("bob")


@pytest.fixture
def charlie(db: None):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """The administrator."""
    from tests.people import make_user

    return make_user("charlie", is_staff=True, is_superuser=True)


@pytest.fixture
def offered_model(db: None):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """A model on offer, without files."""
    from tests.people import make_model

    return make_model()
