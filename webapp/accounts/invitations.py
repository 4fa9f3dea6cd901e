"""Links that let people sign up. Only the SHA-256 of a token is kept; a use is taken by a
conditional UPDATE in the transaction that makes the account."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.accounts.mailboxes import check_address
from webapp.accounts.models import ADDRESS_TAKEN, Invitation, User, UserGroup
from webapp.core import audit
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.units import format_credits

TOKEN_BYTES = 24
SESSION_KEY = "invitation"
SPENT = gettext_lazy(
    "This invitation was used up or revoked, or it has expired. Ask for a new one."
)
MOST_PEOPLE = 10_000
MOST_GRANT_UCR = 1_000_000 * 1_000_000


@dataclass(frozen=True, slots=True)
class InvitationTerms:
    """What an invitation gives, to whom, how often and until when."""

    note: str = ""
    email: str = ""
    group: UserGroup | None = None
    grant_ucr: int = 0
    uses: int = 1
    expires_at: datetime | None = None


def make_invitation(*, actor: User, terms: InvitationTerms) -> tuple[Invitation, str]:
    """The invitation and its token, which is told this once and kept nowhere.

    Raises InvalidInput for terms that no invitation can have.
    """
    _check(terms)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic():
        invitation = Invitation.objects.create(
            token_hash=_hash(token),
            note=terms.note.strip(),
            email=terms.email.lower(),
            group=terms.group,
            grant_ucr=terms.grant_ucr,
            uses=terms.uses,
            uses_left=terms.uses,
            expires_at=terms.expires_at,
            created_by=actor,
        )
        audit.record(
            actor=actor, action="invitation.create", subject=invitation, after=_facts(invitation)
        )
    return invitation, token


def revoke_invitation(*, invitation: Invitation, actor: User) -> bool:
    """Revokes an invitation; who came by it stays. False if it was revoked before."""
    with transaction.atomic():
        revoked = Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(
            revoked_at=timezone.now()
        )
        if revoked:
            audit.record(
                actor=actor,
                action="invitation.revoke",
                subject=invitation,
                before=_facts(invitation),
            )
    return bool(revoked)


def find_invitation(*, token: str) -> Invitation | None:
    """The invitation of that token; None if it is unknown, used up, too old or revoked."""
    return _open().filter(token_hash=_hash(token)).first()


def remember_invitation(request: HttpRequest, invitation: Invitation) -> None:
    """Keeps it in the visitor's session until they sign up."""
    request.session[SESSION_KEY] = invitation.pk


def remembered_invitation(request: HttpRequest) -> Invitation | None:
    """The invitation that the visitor came by, while it can still be used."""
    pk = request.session.get(SESSION_KEY)
    return _open().filter(pk=pk).select_related("group").first() if pk else None


def forget_invitation(request: HttpRequest) -> None:
    """The visitor has signed up, or can't by that invitation any more."""
    request.session.pop(SESSION_KEY, None)


def came_invited(request: HttpRequest) -> bool:
    """True if the visitor came by an invitation, whether or not it can still be used."""
    return SESSION_KEY in request.session


def use_invitation(*, invitation_id: int, email: str) -> Invitation:
    """Takes one use for somebody who signs up with that address; call it in the transaction that
    makes their account. Raises Conflict if nothing is left, and takes nothing then."""
    mine = Q(email="") | Q(email=email.lower())
    used = _open().filter(mine, pk=invitation_id).update(uses_left=F("uses_left") - 1)
    if not used:
        raise Conflict(SPENT)
    return Invitation.objects.select_related("group").get(pk=invitation_id)


def _open() -> QuerySet[Invitation]:
    in_time = Q(expires_at=None) | Q(expires_at__gt=Now())
    return Invitation.objects.filter(in_time, uses_left__gt=0, revoked_at=None)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _check(terms: InvitationTerms) -> None:
    if not 1 <= terms.uses <= MOST_PEOPLE:
        sentence = _("An invitation is for 1 to %(most)d people.") % {"most": MOST_PEOPLE}
        raise InvalidInput(sentence, field="uses")
    if not 0 <= terms.grant_ucr <= MOST_GRANT_UCR:
        sentence = _("An invitation can give 0 to %(most)s credits.") % {
            "most": format_credits(MOST_GRANT_UCR)
        }
        raise InvalidInput(sentence, field="grant")
    if terms.expires_at and terms.expires_at <= timezone.now():
        raise InvalidInput(_("This time is in the past. Choose a later one."), field="expires_at")
    if terms.email:
        _check_email(terms)


def _check_email(terms: InvitationTerms) -> None:
    check_address(terms.email)
    if terms.uses != 1:
        sentence = _("An invitation for one address is for one person.")
        raise InvalidInput(sentence, field="uses")
    if User.objects.has_mailbox_of(terms.email):
        raise InvalidInput(ADDRESS_TAKEN, field="email")


def _facts(invitation: Invitation) -> dict[str, object]:
    return {
        "note": invitation.note,
        "email": invitation.email,
        "group": str(invitation.group or ""),
        "grant": format_credits(invitation.grant_ucr),
        "uses": invitation.uses,
        "uses_left": invitation.uses_left,
        "until": invitation.expires_at.isoformat() if invitation.expires_at else "",
    }
