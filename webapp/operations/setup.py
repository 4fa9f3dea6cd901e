"""First run: who becomes the administrator, and how they prove that the studio is theirs."""

import hashlib
import secrets
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.mailboxes import check_address
from webapp.accounts.models import ADDRESS_TAKEN, User
from webapp.core.errors import InvalidInput, NotFound
from webapp.operations.models import SetupLink

LINK_LIFETIME = timedelta(days=1)


def has_admin() -> bool:
    """True as soon as anybody can open the admin site as a superuser."""
    return User.objects.filter(is_superuser=True, is_active=True).exists()


def make_setup_token() -> str:
    """A fresh one-time token; links printed before stop working."""
    token = secrets.token_urlsafe(24)
    with transaction.atomic():
        SetupLink.objects.filter(used_at=None).delete()
        SetupLink.objects.create(token_hash=_hash(token))
    return token


def is_open(*, token: str) -> bool:
    """True if the token's link is unused, fresh, and there is no administrator yet."""
    return not has_admin() and _open_links().filter(token_hash=_hash(token)).exists()


def link_is_spent() -> NotFound:
    """The error of a link that is used, old or unknown."""
    return NotFound(_("This set-up link has been used already or has expired."))


def create_first_admin(*, token: str, email: str, password: str) -> User:
    """The administrator, made by the holder of the link, which works only this once.

    Raises NotFound for a link that is used, old or unknown, and InvalidInput for an address or
    password that will not do; then the link stays open.
    """
    with transaction.atomic():
        used = _open_links().filter(token_hash=_hash(token)).update(used_at=timezone.now())
        if not used or has_admin():
            raise link_is_spent()
        return _create_admin(email=email, password=password)


@transaction.atomic
def create_admin_from_environment() -> bool:
    """Makes the administrator that `DARKROOM_ADMIN_EMAIL` and `..._PASSWORD` name.

    True if it was made now; False if nothing is asked for or an administrator is there.
    Raises ImproperlyConfigured if the two will not do.
    """
    if has_admin() or not settings.ADMIN_EMAIL:
        return False
    try:
        _create_admin(email=settings.ADMIN_EMAIL, password=settings.ADMIN_PASSWORD)
    except InvalidInput as error:
        raise ImproperlyConfigured(
            f"DARKROOM_ADMIN_EMAIL and DARKROOM_ADMIN_PASSWORD: {error.sentence}"
        ) from error
    return True


def _create_admin(*, email: str, password: str) -> User:
    check_address(email)
    if User.objects.filter(email__iexact=email).exists():
        raise InvalidInput(ADDRESS_TAKEN, field="email")
    try:
        validate_password(password, User(email=email))
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages), field="password") from error
    admin = User.objects.create_superuser(email, password)
    # Whoever holds the link or the environment owns the studio: no mail has to prove it, and none
    # could before mail is set up.
    EmailAddress.objects.create(user=admin, email=admin.email, verified=True, primary=True)
    return admin


def _open_links() -> QuerySet[SetupLink]:
    return SetupLink.objects.filter(used_at=None, created_at__gt=Now() - LINK_LIFETIME)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
