"""People. An address is the name they sign in with; there is no separate user name."""

import uuid
from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Self

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from webapp.accounts.mailboxes import mailbox_of

ADDRESS_TAKEN = _("There is an account with this address already, perhaps in a different spelling.")


class UserManager(BaseUserManager["User"]):
    """Makes users; addresses are kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> "User":
        """A saved user; without a password they can sign in only after a reset.

        Raises ValueError if the address is empty.
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

    def has_mailbox_of(self, address: str, *, but: "User | None" = None) -> bool:
        """True if somebody (other than `but`) has this address, or another one of the same
        mailbox."""
        taken = self.filter(Q(email=address.lower()) | Q(mailbox=mailbox_of(address)))
        return (taken.exclude(pk=but.pk) if but else taken).exists()


class UserGroup(models.Model):
    """People who share a price, an allowance and limits; nobody is in more than one.

    What the group pays stands in the price list (`catalog`), what it may use with each model.
    """

    class Allowance(models.TextChoices):
        NONE = "none", _("none")
        ADD = "add", _("add every month")
        FILL = "fill", _("fill up to, every month")

    name = models.CharField(_("name"), max_length=80, unique=True)
    allowance = models.CharField(
        _("monthly allowance"), max_length=4, choices=Allowance, default=Allowance.NONE
    )
    allowance_ucr = models.BigIntegerField(_("credits a month"), default=0)
    daily_spend_ucr = models.BigIntegerField(
        _("credits a day"), null=True, blank=True, help_text=_("Empty: no limit.")
    )
    images_at_once = models.PositiveIntegerField(
        _("images at once"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Unfinished images of one user. Empty: no limit for this group."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(allowance="none", allowance_ucr=0)
                | (~Q(allowance="none") & Q(allowance_ucr__gt=0)),
                name="group_allowance_has_an_amount",
            ),
            models.CheckConstraint(
                condition=Q(daily_spend_ucr=None) | Q(daily_spend_ucr__gte=0),
                name="group_daily_spend_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(images_at_once=None) | Q(images_at_once__gte=1),
                name="group_images_at_once_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Invitation(models.Model):
    """A link that lets people sign up; only the hash of its token is kept."""

    token_hash = models.CharField(max_length=64, unique=True)
    note = models.CharField(_("note"), max_length=200, blank=True)
    email = models.EmailField(
        _("only for this address"), max_length=254, blank=True, help_text=_("Empty: for anybody.")
    )
    group = models.ForeignKey(
        UserGroup, on_delete=models.SET_NULL, null=True, blank=True, verbose_name=_("group")
    )
    grant_ucr = models.BigIntegerField(_("extra credits"), default=0)
    uses = models.PositiveIntegerField(_("how many people"), default=1)
    uses_left = models.PositiveIntegerField(_("uses left"), default=1)
    expires_at = models.DateTimeField(_("until"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    created_by = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(grant_ucr__gte=0), name="invitation_grant_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(uses__gte=1, uses_left__lte=models.F("uses")),
                name="invitation_uses_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.note or self.email or f"{self.created_at:%Y-%m-%d %H:%M}"


class User(AbstractBaseUser, PermissionsMixin):
    """One person. `public_id` stands where a number would tell how many people there are.

    `mailbox` is the address without its aliases ("a.n+x@gmail.com" is "an@gmail.com"): one
    mailbox, one account.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True)
    is_active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("Clear this to suspend the account instead of deleting it."),
    )
    is_staff = models.BooleanField(
        _("administrator"), default=False, help_text=_("May open the admin site.")
    )
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)
    mailbox = models.CharField(max_length=254, unique=True, null=True, blank=True, editable=False)
    group = models.ForeignKey(
        UserGroup,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="members",
        verbose_name=_("group"),
    )
    invitation = models.ForeignKey(
        Invitation,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="people",
        verbose_name=_("invited by"),
    )
    suspended_reason = models.CharField(
        _("reason for the suspension"), max_length=200, blank=True, editable=False
    )
    # For mails; "" until it is known. The pages ask the browser (a cookie first).
    language = models.CharField(
        max_length=16, blank=True, default="", db_default="", editable=False
    )

    session_epoch = models.CharField(
        max_length=32,
        blank=True,
        editable=False,
        help_text=_("Sessions are checked against this value: changing it ends all sessions."),
    )

    deletion_asked_at = models.DateTimeField(
        _("deletion started"), null=True, blank=True, editable=False
    )

    # True while somebody signs up whose mailbox has still to be confirmed: the welcome credits
    # wait for that.
    welcome_waits: bool = False
    # Where somebody signs up from; "" for whoever is made by an administrator or a command.
    signup_address: str = ""

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    _stored_email: str | None = None

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique_in_any_case"),
            models.CheckConstraint(
                condition=Q(deletion_asked_at=None) | Q(is_active=False),
                name="user_being_deleted_is_switched_off",
            ),
        ]
        indexes = [
            # The admin site's list of people.
            models.Index(fields=["-date_joined", "-id"], name="user_newest"),
            models.Index(
                fields=["deletion_asked_at"],
                condition=Q(deletion_asked_at__isnull=False),
                name="user_being_deleted",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @classmethod
    def from_db(
        cls,
        db: str | None,
        field_names: Collection[str],
        values: Collection[Any],
        **options: Any,
    ) -> Self:
        """The stored user, who remembers under which address they were stored."""
        user = super().from_db(db, field_names, values, **options)
        user._stored_email = user.__dict__.get("email")
        return user

    def clean(self) -> None:
        """Puts an address that was typed into a form into lower case.

        Raises ValidationError if it is new and leads to the mailbox of somebody else.
        """
        super().clean()
        self.email = self.email.lower()
        if self._has_new_address() and User.objects.has_mailbox_of(self.email, but=self):
            raise ValidationError({"email": ADDRESS_TAKEN})

    def save(
        self,
        *,
        update_fields: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        """Saves the user, and the mailbox with an address that is new.

        Raises IntegrityError if the mailbox is somebody else's.
        """
        names = None if update_fields is None else set(update_fields)
        if "email" in self.__dict__ and (names is None or "email" in names):
            if self._has_new_address():
                self.mailbox = mailbox_of(self.email) or None
                names = names and {*names, "mailbox"}
            self._stored_email = self.email
        super().save(update_fields=names, **options)

    def _has_new_address(self) -> bool:
        # None: the row was read without its address, which then is the stored one.
        return self._state.adding or self._stored_email not in {None, self.email}

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """As Django's, and of `session_epoch` too: changing that ends every session."""
        if not self.session_epoch:
            return str(super()._get_session_auth_hash(secret))  # type: ignore[misc]
        salt = "webapp.accounts.models.User.session_epoch"
        value = f"{self.session_epoch}{self.password}"
        return salted_hmac(salt, value, secret=secret, algorithm="sha256").hexdigest()

    @property
    def initials(self) -> str:
        """One or two letters for the round badge in the header."""
        name = self.email.partition("@")[0]
        parts = [part for part in name.replace("_", ".").replace("-", ".").split(".") if part]
        return "".join(part[0] for part in parts[:2]).upper() or "?"
