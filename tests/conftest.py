"""The people every test knows: alice owns what a test is about, bob is another user, charlie an
administrator. The servers they live in are started by `tests.servers`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.utils import translation


@pytest.fixture(autouse=True)
def _fast_and_private(settings: LazySettings, tmp_path: Path) -> Iterator[None]:
    """Quick password hashes, media of the test's own, and no language left by another test."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.MEDIA_ROOT = tmp_path / "media"
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _system_accounts(request: pytest.FixtureRequest) -> None:
    """Transactional tests empty every table afterwards: put back what the migrations wrote."""
    if "db" in request.fixturenames or "transactional_db" in request.fixturenames:
        request.getfixturevalue(
            "transactional_db" if "transactional_db" in request.fixturenames else "db"
        )
    elif request.node.get_closest_marker("django_db") is None:
        return
    from webapp.credits.models import Account

    for kind in Account.Kind.values:
        if kind != Account.Kind.USER:
            Account.objects.get_or_create(kind=kind)


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
