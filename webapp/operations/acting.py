"""Viewing the studio as another user: an administrator sees what they see, and changes nothing.

The session keeps its administrator; one key in it names the user, the line of the audit log that
says why, and the end. `ActingAs` swaps `request.user` only if that line is there and says so,
which makes a key without its line worth nothing. The line is committed before the key is set.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core import audit
from webapp.core.errors import Conflict, DarkroomError
from webapp.core.middleware import error_response
from webapp.core.models import AuditLine
from webapp.core.probes import PROBES
from webapp.operations.people import read_reason

SESSION_KEY = "acting_as"
LASTS_S = 30 * 60
STARTED, ENDED = "user.act_as", "user.act_as_end"
LOOKS = {"GET", "HEAD", "OPTIONS"}


class LooksOnly(DarkroomError):
    """Raised for a request that would change something while an administrator views as another."""

    code = "looks_only"
    status = 403


class _Kept(TypedDict):
    """What the session keeps: ids of the person and of the line, and the end as a timestamp."""

    person: int
    line: int
    until: float


@dataclass(frozen=True, slots=True)
class Acting:
    """Which administrator views the studio as which user, and until when."""

    administrator: User
    person: User
    until: datetime


def start_acting(request: HttpRequest, *, person: User, reason: str) -> None:
    """From the next request on this session sees the studio as `person` does, for 30 minutes.

    Raises InvalidInput for an empty or long reason, and Conflict if the visitor is no
    administrator, the person is one, or their account is suspended.
    """
    administrator = request.user
    assert isinstance(administrator, User)  # noqa: S101 - only signed-in people come here
    reason = _checked(administrator, person, reason)
    # Durable: the line is in the database whatever happens to this request from here on.
    with transaction.atomic(durable=True):
        line = audit.record(actor=administrator, action=STARTED, subject=person, reason=reason)
    until = time.time() + LASTS_S
    request.session[SESSION_KEY] = _Kept(person=person.pk, line=line.pk, until=until)


def end_acting(request: HttpRequest) -> User | None:
    """Ends viewing as another user, with a line in the audit log. Returns that user; None if
    nobody was viewed."""
    acting = acting_of(request)
    if acting is None:
        return None
    with transaction.atomic():
        audit.record(actor=acting.administrator, action=ENDED, subject=acting.person)
    request.session.pop(SESSION_KEY, None)
    return acting.person


def acting_of(request: HttpRequest) -> Acting | None:
    """Who views as whom in this request; None if the visitor sees their own studio."""
    return getattr(request, "acting", None)


def context(request: HttpRequest) -> dict[str, Any]:
    """`acting` for templates: the banner of every page says who is viewed."""
    return {"acting": acting_of(request)}


class ActingAs:
    """Stands after the authentication: swaps the user, and refuses whatever could change
    anything."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The person's page; 403 with a sentence for what is more than looking."""
        has_session = settings.SESSION_COOKIE_NAME in request.COOKIES
        # Probes answer for themselves if the database, and with it the session, is away.
        if not has_session or request.path in PROBES:
            return self.get_response(request)
        kept = request.session.get(SESSION_KEY)
        return self.get_response(request) if kept is None else self._look(request, kept)

    def _look(self, request: HttpRequest, kept: _Kept) -> HttpResponseBase:
        is_look = request.method in LOOKS
        acting = _read(request, kept)
        if acting is None:
            _drop(request, kept)
            # Sent from a page of the person: it is not what the administrator wants for themselves.
            return self.get_response(request) if is_look else _refuse(request)
        request.acting = acting  # type: ignore[attr-defined]
        if not is_look and request.path == reverse("account_logout"):
            end_acting(request)
            return self.get_response(request)
        if not is_look and request.path != reverse("end_acting"):
            return _refuse(request)
        if request.path.startswith(reverse("mfa_index")):
            return _refuse(request, _("Two-factor settings can be seen only by their owner."))
        return _until_end(self._through_their_eyes(request, acting.person), acting.until)

    def _through_their_eyes(self, request: HttpRequest, person: User) -> HttpResponseBase:
        async def auser() -> User:
            return person

        request.user = person
        request.auser = auser
        return self.get_response(request)


def _checked(administrator: User, person: User, reason: str) -> str:
    reason = read_reason(reason)
    if not _may_look(administrator):
        raise Conflict(_("Only superusers can view the studio as another user."))
    if not _may_be_seen(person):
        raise Conflict(_("Administrators and suspended accounts can't be viewed this way."))
    return reason


def _may_look(administrator: User) -> bool:
    return administrator.is_active and administrator.is_superuser


def _may_be_seen(person: User) -> bool:
    return person.is_active and not person.is_staff and not person.is_superuser


def _read(request: HttpRequest, kept: _Kept) -> Acting | None:
    """None if it is over, if either may not any more, or if no line stands for it."""
    administrator, until = request.user, kept["until"]
    if not administrator.is_authenticated or until <= time.time():
        return None
    person = User.objects.filter(pk=kept["person"]).first()
    if person is None or not _may_look(administrator) or not _may_be_seen(person):
        return None
    if not _find_line(kept).filter(actor=administrator.pk, subject_id=str(person.pk)).exists():
        return None
    return Acting(administrator, person, datetime.fromtimestamp(until, tz=UTC))


def _find_line(kept: _Kept) -> QuerySet[AuditLine]:
    return AuditLine.objects.filter(pk=kept["line"], action=STARTED, subject_kind="user")


def _drop(request: HttpRequest, kept: _Kept) -> None:
    """Forgets what the session kept; if its line is there, it is written down that it ended."""
    request.session.pop(SESSION_KEY)
    line = _find_line(kept).first()
    if line is None:
        return
    actor = User.objects.filter(pk=line.actor_id or 0).first()
    person = User.objects.filter(pk=line.subject_id).first()
    if person is not None:
        reason = _("The time was up, or one of the two accounts was suspended.")
        audit.record(actor=actor, action=ENDED, subject=person, reason=reason)


def _refuse(request: HttpRequest, sentence: str = "") -> HttpResponse:
    sentence = sentence or _("You are viewing the studio as another user. This view is read-only.")
    return error_response(request, LooksOnly(sentence))


def _until_end(response: HttpResponseBase, until: datetime) -> HttpResponseBase:
    """The same answer; a stream of events ends with the time."""
    if isinstance(response, StreamingHttpResponse) and response.is_async:
        response.streaming_content = _parts_until(response.streaming_content, until)
    return response


async def _parts_until(parts: Any, until: datetime) -> AsyncIterator[bytes]:
    async with aclosing(parts):
        while (left_s := (until - timezone.now()).total_seconds()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    part = await anext(parts, None)
            except TimeoutError:
                return
            if part is None:
                return
            yield part
