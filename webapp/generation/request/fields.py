"""The kinds of fields that a request has: how one is read from a form or a JSON body, checked and
put into words. Which fields there are stands in one table, `spec.GenerationSpec`.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, replace
from typing import Any, ClassVar, Final

from django.template.defaultfilters import floatformat
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel
from webapp.core.digits import read_float, read_whole
from webapp.core.errors import InvalidInput
from webapp.core.ids import read_id

FLAGS = {"1": True, "on": True, "True": True, "0": False, "off": False}
FROM_MODEL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How the settings ask for a field, below "Advanced": by which template of
    `generation/controls/`, as wide as the panel or half of it. Those with the lowest `place` come
    first; `step` is a slider's."""

    template: str
    is_wide: bool = False
    place: int = 0
    step: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLine:
    """How an image's page shows a field: under another `label`, if it has one, and by a template
    of its own, if its value in words does not do."""

    label: Promise | None = None
    template: str = ""


@dataclass(frozen=True, kw_only=True)
class RequestField:
    """One field of a request; its kind is the subclass.

    `label` names it on pages, `subject` in sentences if that is another, and `name` in forms and
    JSON if that is not its `attribute`. What is left out has the `default`; without one, what the
    model has under that attribute. `by_mode` are the defaults of a field that counts in these modes
    alone. `attribute` and `default` are those of the spec, which sets them. Who reads it:

    `is_typed`      the studio's form has it
    `is_brought`    it comes along beside the words: to begin anew takes it away
    `is_kept`       it is the generation's, in a column of its own or in `more`
    `is_repeated`   "use again" asks for it again
    `control`       the settings ask for it below "Advanced"; else the page has a place for it
    `line`          an image's page shows it, unless it is in `more` and was not asked for
    `noted_as`      the text in the file says it under this name, unless it is at its default
    """

    label: Promise
    subject: Promise | None = None
    name: str = ""
    attribute: str = ""
    default: Any = FROM_MODEL
    by_mode: Mapping[str, Any] | None = None
    is_typed: bool = True
    is_brought: bool = False
    is_kept: bool = True
    is_repeated: bool = True
    control: Control | None = None
    line: PageLine | None = PageLine()
    noted_as: str = ""

    @property
    def has_default(self) -> bool:
        """False for a field that the model has its own value of."""
        return self.default is not FROM_MODEL

    def usual(self, *, model: DiffusionModel | None, mode: str) -> Any:
        """What it is if nobody says otherwise; a field without a default needs the model."""
        if self.by_mode is not None:
            return self.by_mode.get(mode, self.default)
        return self.default if self.has_default else getattr(model, self.attribute)

    def read(self, data: Mapping[str, Any], *, model: DiffusionModel, mode: str) -> Any:
        """What is asked for, not checked yet; the usual value if the field is empty, or does not
        count in that mode. Raises InvalidInput for what can't be read."""
        value = data.get(self.name)
        if value is None or value == "" or not self._counts(mode):
            return self.usual(model=model, mode=mode)
        return self._parse(value, model)

    def check(self, value: Any, *, model: DiffusionModel, mode: str) -> None:
        """None for a value that the model can be asked for; raises InvalidInput otherwise."""
        if self._counts(mode):
            self._check(value, model)

    def write(self, value: Any) -> str:
        """The value as a form holds it, which `read` reads back; "" for none."""
        return "" if value is None else str(value)

    def say(self, value: Any, *, model: DiffusionModel) -> str:
        """The value in words for a page, in the reader's language; "" for none."""
        return self.write(value)

    def note(self, value: Any) -> str:
        """The value as the text in the file says it; "" at its default."""
        return "" if value == self.default else self.write(value)

    def _parse(self, value: Any, model: DiffusionModel) -> Any:
        """The value of what was sent; raises InvalidInput."""
        raise NotImplementedError

    def _check(self, value: Any, model: DiffusionModel) -> None:
        """Raises InvalidInput for what the model can't be asked for."""

    def _counts(self, mode: str) -> bool:
        return self.by_mode is None or mode in self.by_mode

    def _refusal(self, sentence: str, **facts: Any) -> InvalidInput:
        facts["label"] = self.subject or self.label
        return InvalidInput(sentence % facts, field=self.name)


@dataclass(frozen=True, kw_only=True)
class Text(RequestField):
    """Plain text of at most `most` characters, without the blanks around it."""

    most: int

    def _parse(self, value: Any, model: DiffusionModel) -> str:
        if not isinstance(value, str) or "\x00" in value:
            raise self._refusal(_("%(label)s must be plain text."))
        return value.replace("\r\n", "\n").strip()

    def _check(self, value: str, model: DiffusionModel) -> None:
        if len(value) > self.most:
            sentence = _("%(label)s has %(length)d characters; at most %(most)d are allowed.")
            raise self._refusal(sentence, length=len(value), most=self.most)


@dataclass(frozen=True, kw_only=True)
class Number(RequestField):
    """A number from `least` to `most`; a limit that is a text names what the model has as such.
    Pages show it with so many `places`."""

    keyboard: ClassVar[str] = "decimal"
    least: float | str
    most: float | str
    places: int = 1

    def limits(self, model: DiffusionModel) -> tuple[float, float]:
        """The least and the most that the model takes."""
        least, most = (
            getattr(model, limit) if isinstance(limit, str) else limit
            for limit in (self.least, self.most)
        )
        return least, most

    def write(self, value: float | None) -> str:
        """See `RequestField`: 7 and not 7.0, and every digit that counts."""
        return "" if value is None else str(value).removesuffix(".0")

    def say(self, value: float | None, *, model: DiffusionModel) -> str:
        return "" if value is None else str(floatformat(value, self.places))

    def note(self, value: float | None) -> str:
        return "" if value is None or value == self.default else f"{value:.10g}"

    def _parse(self, value: Any, model: DiffusionModel) -> float | None:
        try:
            return read_float(value)
        except ValueError as error:
            least, most = self.limits(model)
            sentence = _("%(label)s must be a number from %(least)g to %(most)g.")
            raise self._refusal(sentence, least=least, most=most) from error

    def _check(self, value: float | None, model: DiffusionModel) -> None:
        least, most = self.limits(model)
        if value is None or not least <= value <= most:
            sentence = _("%(label)s must be from %(least)g to %(most)g.")
            raise self._refusal(sentence, least=least, most=most)


@dataclass(frozen=True, kw_only=True)
class Whole(Number):
    """A whole number; `word_for_none` says the same as nothing."""

    keyboard: ClassVar[str] = "numeric"
    places: int = 0
    word_for_none: str = ""

    def _parse(self, value: Any, model: DiffusionModel) -> int | None:
        if self.word_for_none and value == self.word_for_none:
            return None
        try:
            return read_whole(value)
        except ValueError as error:
            least, most = self.limits(model)
            sentence = _("%(label)s must be a whole number from %(least)d to %(most)d.")
            raise self._refusal(sentence, least=least, most=most) from error

    def _check(self, value: float | None, model: DiffusionModel) -> None:
        least, most = self.limits(model)
        if value is not None and not least <= value <= most:
            sentence = _("%(label)s must be from %(least)d to %(most)d; %(value)s is not.")
            raise self._refusal(sentence, least=least, most=most, value=str(value)[:24])


@dataclass(frozen=True, kw_only=True)
class Side(Whole):
    """A side of the image, in pixels on the model's grid."""

    least: float | str = "min_side_px"
    most: float | str = "max_side_px"

    def _check(self, value: float | None, model: DiffusionModel) -> None:
        super()._check(value, model)
        if value is not None and value % model.side_multiple_px:
            sentence = _("%(label)s must be a multiple of %(grid)d pixels; %(value)d is not.")
            raise self._refusal(sentence, grid=model.side_multiple_px, value=value)


@dataclass(frozen=True, kw_only=True)
class Flag(RequestField):
    """Yes or no; a page says `yes` of one that is set, and nothing otherwise."""

    yes: Promise

    def write(self, value: bool | None) -> str:
        return "1" if value else ""

    def say(self, value: bool | None, *, model: DiffusionModel) -> str:
        return str(self.yes) if value else ""

    def _parse(self, value: Any, model: DiffusionModel) -> bool:
        text = str(value or "0")
        if text not in FLAGS:
            raise self._refusal(_("%(label)s is either on or off."))
        return FLAGS[text]


@dataclass(frozen=True, kw_only=True)
class Choice(RequestField):
    """The slug of one of those that are `offered` for the model, as (slug, name). `called` names
    any slug, also one that is not offered any more; `refusal` is the sentence for what is not
    offered, if the usual one does not do."""

    offered: Callable[[DiffusionModel], Sequence[tuple[str, str]]]
    called: Callable[[str, DiffusionModel], str]
    refusal: Callable[[str, DiffusionModel], str] | None = None

    def say(self, value: str, *, model: DiffusionModel) -> str:
        return self.called(value, model)

    def _parse(self, value: Any, model: DiffusionModel) -> str:
        return str(value)

    def _check(self, value: str, model: DiffusionModel) -> None:
        slugs = [slug for slug, _name in self.offered(model)]
        if value in slugs:
            return
        if self.refusal:
            raise InvalidInput(self.refusal(value, model), field=self.name)
        sentence = _("%(field)s can be one of: %(allowed)s.")
        raise self._refusal(sentence, field=self.name, allowed=", ".join(slugs))


@dataclass(frozen=True, kw_only=True)
class Id(RequestField):
    """The id of something that is the owner's; whether it is, the service looks."""

    def _parse(self, value: Any, model: DiffusionModel) -> uuid.UUID:
        return read_id(value, field=self.name)


def row(one: RequestField, *, default: Any = FROM_MODEL) -> Any:
    """An attribute of the spec; without a default it has to be said, and a form that leaves it out
    has what the model has under that name."""
    said = MISSING if default is FROM_MODEL else default
    return field(default=said, metadata={"row": replace(one, default=default)})
