"""People. An address is the name they sign in with; there is no separate user name."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class UserManager(BaseUserManager["User"]):
    """Makes users; addresses are kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> "User":
        """A saved user; without a password they can sign in only after a reset.

        Raises ValueError where the address is empty.
        """
        if not email:
            raise ValueError("a user needs an e-mail address")
        user = self.model(email=email.lower(), **extra)
        user.set_password(password)
        # One commit with the account that is opened when a user is saved.
        with transaction.atomic(using=self._db):
            user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> "User":
        """A saved user who may do everything in the admin site."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user of that address, whatever its case."""
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """One person. `public_id` stands where a number would tell how many people there are."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Switch off instead of deleting the account.")
    )
    is_staff = models.BooleanField(
        _("administrator"), default=False, help_text=_("May open the admin site.")
    )
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique_in_any_case"),
        ]

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        """Puts an address that was typed into a form into lower case."""
        super().clean()
        self.email = self.email.lower()

    @property
    def initials(self) -> str:
        """One or two letters for the round badge in the header."""
        name = self.email.partition("@")[0]
        parts = [part for part in name.replace("_", ".").replace("-", ".").split(".") if part]
        return "".join(part[0] for part in parts[:2]).upper() or "?"
