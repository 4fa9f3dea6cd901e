"""What an image cost: how its price came about, what was held, charged and given back, and the
seconds it took."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.catalog.models import ModelPrice, PriceList
from webapp.core.units import format_credits
from webapp.credits.models import Entry, Hold, Transaction
from webapp.credits.selectors import get_hold
from webapp.generation.live import strings
from webapp.generation.models import Generation, Image

STAGES = {
    "queue_s": gettext_lazy("in the queue"),
    "wait_s": gettext_lazy("waiting for its turn"),
    "load_s": strings.STAGES["loading"],
    "encode_s": strings.STAGES["encoding"],
    "denoise_s": strings.STAGES["denoising"],
    "decode_s": strings.STAGES["decoding"],
    "finish_s": gettext_lazy("saving"),
}
WHOLE_PRICE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Quoted:
    """The price as it was quoted; `terms` says in words how it came about, a line each."""

    price_ucr: int
    terms: list[str]
    price_list: PriceList | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What happened to an image's credits and when; None if it has not happened.

    `hold` is None for an image that was free. `charged` is the ledger's line, `given_back` are the
    refunds and corrections after it. `stages_s` are seconds by stage, in their order.
    """

    quoted: Quoted
    hold: Hold | None
    charged: Entry | None
    given_back: list[Entry]
    waited_s: float | None
    drawn_s: float | None
    stages_s: list[tuple[str, float]]
    device: str
    rows_mean: float | None
    rows_most: int

    @property
    def is_held(self) -> bool:
        """True while the credits are set aside."""
        return self.hold is not None and self.hold.state == Hold.State.HELD


def read_receipt(*, image: Image) -> Receipt:
    """The receipt of an image in any state, in three queries at most."""
    hold = get_hold(image_id=image.pk)
    lines = _lines_of(image, hold)
    charges = [line for line in lines if line.kind == Transaction.Kind.CAPTURE]
    rows_most = int(image.batch.get("rows_most", 1))
    return Receipt(
        quoted=_quoted(image.generation),
        hold=hold,
        charged=charges[0] if charges else None,
        given_back=[line for line in lines if line.kind != Transaction.Kind.CAPTURE],
        waited_s=_between_s(image.created_at, image.started_at),
        drawn_s=_between_s(image.started_at, image.finished_at),
        stages_s=_stages(image.timings_s),
        device=_device(image.fingerprint),
        rows_mean=image.batch.get("rows_mean") if rows_most > 1 else None,
        rows_most=rows_most,
    )


def _lines_of(image: Image, hold: Hold | None) -> list[Entry]:
    """The owner's lines in the ledger for this image, oldest first."""
    if hold is None:
        return []
    entries = Entry.objects.filter(image_id=image.pk, account_id=hold.account_id)
    return list(entries.select_related("transaction").order_by("pk"))


def _quoted(generation: Generation) -> Quoted:
    terms = generation.price_terms
    return Quoted(
        price_ucr=generation.price_each_ucr,
        terms=[line for line in (_mode_words(terms), _group_words(terms)) if line],
        price_list=generation.price_list,
    )


def _mode_words(terms: Mapping[str, Any]) -> str:
    """ "" for an image from before there were terms."""
    if terms.get("mode") == ModelPrice.Mode.METERED:
        words = _("by size and steps: %(width)s × %(height)s, %(steps)s steps, at least %(floor)s")
        return words % {
            "width": terms["width_px"],
            "height": terms["height_px"],
            "steps": terms["steps"],
            "floor": format_credits(terms["floor_ucr"]),
        }
    if terms.get("mode") == ModelPrice.Mode.FLAT:
        return _("%(price)s an image, any size and steps") % {
            "price": format_credits(terms["flat_ucr"])
        }
    return ""


def _group_words(terms: Mapping[str, Any]) -> str:
    """ "" if the whole price was to be paid."""
    share = Decimal(terms.get("multiplier", WHOLE_PRICE))
    if share == WHOLE_PRICE:
        return ""
    words = {"share": f"{share.normalize():f}", "group": terms["group"]}
    return _("times %(share)s for the group %(group)s") % words


def _stages(timings_s: Mapping[str, float]) -> list[tuple[str, float]]:
    known = [(str(name), timings_s.get(key, 0.0)) for key, name in STAGES.items()]
    return [(name, seconds) for name, seconds in known if seconds]


def _device(fingerprint: Mapping[str, str]) -> str:
    """The card's name, else the kind of device in capitals; "" if nothing is known."""
    return fingerprint.get("gpu") or fingerprint.get("device", "").upper()


def _between_s(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
