"""Which lines of a statement are asked for: `?kind=&since=&until=&image=`."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.days import check_order, end_of, read_optional_day, start_of
from webapp.core.errors import InvalidInput
from webapp.core.ids import read_optional_id
from webapp.credits.models import Transaction

NOT_CHARGED = "not_charged"
KINDS = {
    "": gettext_lazy("All lines"),
    Transaction.Kind.CAPTURE.value: gettext_lazy("Images"),
    NOT_CHARGED: gettext_lazy("Not charged"),
    Transaction.Kind.REFUND.value: gettext_lazy("Refunds"),
    Transaction.Kind.TOP_UP.value: gettext_lazy("Top-ups"),
    Transaction.Kind.CODE.value: gettext_lazy("Codes"),
    Transaction.Kind.ALLOWANCE.value: gettext_lazy("Monthly allowance"),
    Transaction.Kind.GRANT.value: gettext_lazy("Welcome credits"),
    Transaction.Kind.INVITATION.value: gettext_lazy("Invitation"),
    Transaction.Kind.ADJUSTMENT.value: gettext_lazy("Adjustments"),
    Transaction.Kind.REVERSAL.value: gettext_lazy("Undone"),
    Transaction.Kind.REPAIR.value: gettext_lazy("Corrections"),
}


@dataclass(frozen=True, slots=True)
class StatementFilter:
    """`since` and `until` are whole days of the studio's time zone, both included."""

    kind: str = ""
    since: date | None = None
    until: date | None = None
    image_id: uuid.UUID | None = None

    @property
    def is_empty(self) -> bool:
        """True if every line is asked for."""
        return self == StatementFilter()

    @property
    def starts_at(self) -> datetime | None:
        """The first moment that is asked for; None if there is no such limit."""
        return start_of(self.since) if self.since else None

    @property
    def ends_before(self) -> datetime | None:
        """The first moment that is no longer asked for; None if there is no such limit."""
        return end_of(self.until) if self.until else None

    @property
    def query(self) -> str:
        """As the query of an address, without what is not limited: "kind=code&until=2026-01-31"."""
        given = {
            "kind": self.kind,
            "since": self.since.isoformat() if self.since else "",
            "until": self.until.isoformat() if self.until else "",
            "image": str(self.image_id) if self.image_id else "",
        }
        return urlencode({name: value for name, value in given.items() if value})


def read_filter(given: Mapping[str, str]) -> StatementFilter:
    """The filter of a query; raises InvalidInput, with the field, for a value that is none."""
    asked = StatementFilter(
        kind=_read_kind(given.get("kind", "")),
        since=read_optional_day(given.get("since", ""), field="since"),
        until=read_optional_day(given.get("until", ""), field="until"),
        image_id=read_optional_id(given.get("image"), field="image"),
    )
    check_order(since=asked.since, until=asked.until)
    return asked


def _read_kind(text: str) -> str:
    if text not in KINDS:
        raise InvalidInput(
            _("There is no such kind of line. Choose one from the list."), field="kind"
        )
    return text
