"""What an administrator does to a user beside their credits: remove lost two-factor
authentication, suspend and restore, delete, view the studio as them. `UserAdmin` takes
`PersonActions` as a base, and `PERSON_ACTIONS` among its `actions_detail`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action
from unfold.enums import ActionVariant

from webapp.accounts.models import User
from webapp.credits.welcomes import give_held_welcome
from webapp.operations import people
from webapp.operations.acting import start_acting
from webapp.operations.admin.ask import Button, Question, ReasonForm, ask

PERSON_ACTIONS = [
    *("act_as", "give_welcome", "take_off_second_step"),
    *("suspend", "restore", "delete_person"),
]


@dataclass(frozen=True, slots=True)
class _Act:
    """One thing that can be done to a person, and the words around it."""

    title: str
    sentences: list[str]
    button: Button
    done: str
    act: Callable[[HttpRequest, User, str], None]
    leads_to: str = ""


class PersonActions:
    """Each action is a page that asks why, and for the password if it was not given lately."""

    @action(description=gettext_lazy("View as this user"), url_path="eyes", icon="visibility")  # type: ignore[untyped-decorator]
    def act_as(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Shows the studio as this user sees it, for half an hour and read-only; leads there."""
        person = _person(request, object_id)
        act = _Act(
            title=_("View the studio as %(person)s") % {"person": person},
            sentences=[
                _(
                    "For 30 minutes you can see their images and prompts, and can't change "
                    "anything."
                ),
                _("The audit log keeps permanently that you viewed this account, and why."),
            ],
            button=Button("look", _("View")),
            done="",
            act=lambda request, person, reason: start_acting(request, person=person, reason=reason),
            leads_to=reverse("studio"),
        )
        return _ask(self, request, person, act)

    @action(  # type: ignore[untyped-decorator]
        description=gettext_lazy("Give the welcome credits"), url_path="welcome", icon="redeem"
    )
    def give_welcome(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Gives the welcome credits that wait for an administrator; leads back to the user's
        page."""
        person = _person(request, object_id)
        act = _Act(
            title=_("Give %(person)s the welcome credits") % {"person": person},
            sentences=[
                _("Waiting because: %(why)s.") % {"why": person.account.get_welcome_held_display()}
            ],
            button=Button("give", _("Give them")),
            done=_("The welcome credits were given."),
            act=_with_actor(give_held_welcome),
        )
        return _ask(self, request, person, act)

    @action(  # type: ignore[untyped-decorator]
        description=gettext_lazy("Turn off two-factor authentication"),
        url_path="second-step",
        icon="key_off",
    )
    def take_off_second_step(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Removes two-factor authentication of a user who lost it; leads back to the user's
        page."""
        person = _person(request, object_id)
        enough = _("The password alone is enough to sign in again.")
        act = _Act(
            title=_("Turn off two-factor authentication for %(person)s") % {"person": person},
            sentences=[
                _(
                    "For a user who lost both phone and recovery codes. Make sure that the "
                    "request really comes from them."
                ),
                " ".join([_("The app, passkeys and codes are removed."), enough]),
            ],
            button=Button("take-off", _("Turn off"), "danger"),
            done=enough,
            act=_with_actor(people.take_off_second_step),
        )
        return _ask(self, request, person, act)

    @action(  # type: ignore[untyped-decorator]
        description=gettext_lazy("Suspend"),
        url_path="suspension",
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Suspends the account; leads back to the user's page."""
        person = _person(request, object_id)
        act = _Act(
            title=_("Suspend %(person)s") % {"person": person},
            sentences=[
                _(
                    "They are signed out everywhere and can't sign in. Waiting and running "
                    "images are cancelled, and their credits are returned."
                ),
                _("Images and credits stay as they are until the suspension is lifted."),
            ],
            button=Button("suspend", _("Suspend"), "danger"),
            done=_("The account is suspended."),
            act=_with_actor(people.suspend_user),
        )
        return _ask(self, request, person, act)

    @action(
        description=gettext_lazy("Lift the suspension"), url_path="restoration", icon="check_circle"
    )  # type: ignore[untyped-decorator]
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lifts the suspension; leads back to the user's page."""
        person = _person(request, object_id)
        act = _Act(
            title=_("Lift the suspension of %(person)s") % {"person": person},
            sentences=[
                _("They can sign in again. Reason for the suspension: %(why)s")
                % {"why": _why(person)}
            ],
            button=Button("restore", _("Lift the suspension")),
            done=_("The suspension is lifted."),
            act=_with_actor(people.restore_user),
        )
        return _ask(self, request, person, act)

    @action(  # type: ignore[untyped-decorator]
        description=gettext_lazy("Delete"),
        url_path="deletion",
        icon="delete",
        variant=ActionVariant.DANGER,
    )
    def delete_person(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Has the account deleted within minutes; leads to the list of users."""
        person = _person(request, object_id)
        act = _Act(
            title=_("Delete %(person)s") % {"person": person},
            sentences=[
                _(
                    "Their images, prompts, requests and sessions are deleted within minutes, "
                    "and nobody can bring them back. Credits that are left are lost."
                ),
                _(
                    "What stays: the ledger, under a pseudonym, and the audit log, which keeps "
                    "the address."
                ),
            ],
            button=Button("delete", _("Delete for good"), "danger"),
            done=_("The account is being deleted. It is gone within minutes."),
            act=_with_actor(people.delete_user),
            leads_to=reverse("admin:accounts_user_changelist"),
        )
        return _ask(self, request, person, act)


def _person(request: HttpRequest, object_id: str) -> User:
    """The person, for a superuser; raises PermissionDenied or Http404."""
    if not cast("User", request.user).is_superuser:
        raise PermissionDenied
    return get_object_or_404(User, pk=object_id)


def _ask(admin: Any, request: HttpRequest, person: User, act: _Act) -> HttpResponse:
    back = reverse("admin:accounts_user_change", args=[person.pk])
    form = ReasonForm(request, most=people.MAX_REASON_LENGTH)

    def do() -> HttpResponse:
        act.act(request, person, form.cleaned_data["reason"])
        if act.done:
            messages.success(request, act.done)
        return redirect(act.leads_to or back)

    return ask(admin, request, form, Question(act.title, act.sentences, [act.button], back), do)


def _with_actor(service: Callable[..., None]) -> Callable[[HttpRequest, User, str], None]:
    def act(request: HttpRequest, person: User, reason: str) -> None:
        service(user=person, actor=request.user, reason=reason)

    return act


def _why(person: User) -> str | Promise:
    return person.suspended_reason or _("no reason was recorded")
