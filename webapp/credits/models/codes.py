"""Codes that give credits, made in batches, and who redeemed them."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webapp.credits.models.ledger import Account, Transaction


class CodeBatch(models.Model):
    """Codes made together. No code is stored: each is derived from the studio's secret, this
    batch and its number, so that the CSV can be written again and a stolen database holds none."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=80)
    amount_ucr = models.BigIntegerField(_("credits"))
    count = models.PositiveIntegerField(_("codes"))
    uses_per_code = models.PositiveIntegerField(_("users per code"), default=1)
    per_user_limit = models.PositiveIntegerField(_("codes per user"), default=1)
    expires_at = models.DateTimeField(_("until"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("batch of codes")
        verbose_name_plural = _("batches of codes")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_ucr__gt=0, count__gte=1, uses_per_code__gte=1)
                & Q(per_user_limit__gte=1),
                name="code_batch_gives_something",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Code(models.Model):
    """One code, as its HMAC: the text is never stored."""

    batch = models.ForeignKey(CodeBatch, on_delete=models.RESTRICT, related_name="codes")
    number = models.PositiveIntegerField(_("number"))
    digest = models.CharField(max_length=64, unique=True)
    uses_left = models.PositiveIntegerField(_("uses left"))

    class Meta:
        verbose_name = _("code")
        verbose_name_plural = _("codes")
        constraints = [
            models.UniqueConstraint(fields=["batch", "number"], name="code_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id}/{self.number}"


class CodeUse(models.Model):
    """Who redeemed a code; the same person never twice."""

    code = models.ForeignKey(Code, on_delete=models.RESTRICT, related_name="uses")
    account = models.ForeignKey(Account, on_delete=models.RESTRICT, related_name="code_uses")
    transaction = models.OneToOneField(Transaction, on_delete=models.RESTRICT, related_name="+")
    at = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        verbose_name = _("use of a code")
        verbose_name_plural = _("uses of codes")
        constraints = [
            models.UniqueConstraint(fields=["code", "account"], name="code_once_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.code} by {self.account_id}"
