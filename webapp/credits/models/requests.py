"""Credits that users ask for."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class CreditRequest(models.Model):
    """A user asks for credits: open -> approved | declined | withdrawn, once."""

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("not answered", "open")
        APPROVED = "approved", _("approved")
        DECLINED = "declined", _("declined")
        WITHDRAWN = "withdrawn", _("withdrawn")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="credit_requests",
        verbose_name=_("user"),
    )
    amount_ucr = models.BigIntegerField(_("requested amount"))
    reason = models.CharField(_("reason"), max_length=500)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    granted_ucr = models.BigIntegerField(_("granted"), null=True, blank=True)
    answer = models.CharField(_("answer"), max_length=200, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    decided_at = models.DateTimeField(_("answered"), null=True, blank=True)
    created_at = models.DateTimeField(_("requested"), auto_now_add=True)

    class Meta:
        verbose_name = _("request for credits")
        verbose_name_plural = _("requests for credits")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(state="open"), name="credit_request_one_open"
            ),
            models.CheckConstraint(
                condition=Q(amount_ucr__gt=0), name="credit_request_amount_positive"
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at=None)
                | (~Q(state="open") & Q(decided_at__isnull=False)),
                name="credit_request_decided_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.get_state_display()}"
