"""The books. Only `credits.ledger` writes these tables (an import contract keeps it so).

    Account ──< Hold          one per image: held -> captured | released, exactly once
       │
       └─────< Entry >─── Transaction     double entry; the entries of one sum to zero

Transaction and Entry are append-only: triggers refuse UPDATE, DELETE and TRUNCATE.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Account(models.Model):
    """One per user; the system's own accounts carry no stored balance, so nobody queues on them."""

    class Kind(models.TextChoices):
        USER = "user", _("user")
        GRANTS = "grants", _("grants")
        REVENUE = "revenue", _("revenue")
        EXPIRED = "expired", _("expired")
        ADJUSTMENTS = "adjustments", _("adjustments")

    kind = models.CharField(max_length=16, choices=Kind)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="account",
    )
    pseudonym = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    posted_ucr = models.BigIntegerField(_("posted"), default=0)
    held_ucr = models.BigIntegerField(_("held"), default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = [
            models.CheckConstraint(condition=Q(held_ucr__gte=0), name="account_held_not_negative"),
            models.CheckConstraint(
                condition=Q(posted_ucr__gte=F("held_ucr")), name="account_posted_covers_held"
            ),
            models.CheckConstraint(
                condition=Q(kind="user") | Q(posted_ucr=0, held_ucr=0, user=None),
                name="account_system_has_no_balance",
            ),
            models.UniqueConstraint(
                fields=["kind"], condition=~Q(kind="user"), name="account_system_kind_unique"
            ),
        ]

    def __str__(self) -> str:
        if self.kind != self.Kind.USER:
            return str(self.get_kind_display())
        return str(self.user) if self.user else str(self.pseudonym)

    @property
    def available_ucr(self) -> int:
        """What can still be held: posted minus held."""
        return self.posted_ucr - self.held_ucr


class Transaction(models.Model):
    """One event in the books, with who did it and why."""

    class Kind(models.TextChoices):
        GRANT = "grant", _("welcome credits")
        CAPTURE = "capture", _("image")
        TOP_UP = "top_up", _("top-up")
        ADJUSTMENT = "adjustment", _("adjustment")

    kind = models.CharField(max_length=16, choices=Kind)
    # No database constraint: the line stays as it was written when the actor's account goes.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    actor_name = models.CharField(max_length=254, blank=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    idempotency_key = models.CharField(max_length=120, unique=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("transaction")
        verbose_name_plural = _("transactions")
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind__in=["top_up", "adjustment"])
                | (~Q(actor_name="") & ~Q(reason="")),
                name="transaction_by_hand_needs_actor_and_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.created_at:%Y-%m-%d %H:%M}"


class Entry(models.Model):
    """One line of a transaction on one account."""

    transaction = models.ForeignKey(Transaction, on_delete=models.RESTRICT, related_name="entries")
    account = models.ForeignKey(Account, on_delete=models.RESTRICT, related_name="entries")
    amount_ucr = models.BigIntegerField(_("amount"))
    balance_after_ucr = models.BigIntegerField(
        _("balance after"), null=True, help_text=_("Empty on the system's accounts.")
    )
    image_id = models.UUIDField(null=True, blank=True, db_index=True)

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        constraints = [
            models.CheckConstraint(condition=~Q(amount_ucr=0), name="entry_amount_not_zero"),
        ]
        indexes = [models.Index(fields=["account", "-id"], name="entry_statement")]

    def __str__(self) -> str:
        return f"{self.amount_ucr} on {self.account_id}"


class Hold(models.Model):
    """Credits set aside for one image; `image_id` is a plain UUID: pictures come and go."""

    class State(models.TextChoices):
        HELD = "held", _("held")
        CAPTURED = "captured", _("charged")
        RELEASED = "released", _("not charged")

    image_id = models.UUIDField(unique=True)
    account = models.ForeignKey(Account, on_delete=models.RESTRICT, related_name="holds")
    amount_ucr = models.BigIntegerField(_("amount"))
    state = models.CharField(max_length=10, choices=State, default=State.HELD)
    created_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.CheckConstraint(condition=Q(amount_ucr__gt=0), name="hold_amount_positive"),
            models.CheckConstraint(
                condition=Q(state="held", resolved_at=None)
                | (~Q(state="held") & Q(resolved_at__isnull=False)),
                name="hold_resolved_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["account"], condition=Q(state="held"), name="hold_open"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_ucr} {self.state}"
