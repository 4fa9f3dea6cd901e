"""Invitations: made, shown once, watched and revoked."""

from datetime import MAXYEAR, date, timedelta
from typing import cast
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from webapp.accounts import invitations
from webapp.accounts.invitations import InvitationTerms
from webapp.accounts.models import Invitation, User, UserGroup
from webapp.core.days import end_of
from webapp.core.numbers import PlainNumberField, WholeNumberField
from webapp.core.texts import SEEN_BY_ADMINISTRATORS
from webapp.core.units import CREDIT_PLACES, format_credits, to_ucr
from webapp.operations.admin.ask import Button, LastDayField, Question, ask, ask_page, posted
from webapp.operations.admin.base import ReadOnlyAdmin
from webapp.operations.invitation_mails import mail_invitation


class InviteForm(forms.Form):
    """What an invitation gives, to whom, how often and until when."""

    note = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=200,
        required=False,
        help_text=SEEN_BY_ADMINISTRATORS,
        widget=UnfoldAdminTextInputWidget,
    )
    email = forms.EmailField(
        label=gettext_lazy("Only for this address"),
        max_length=254,
        required=False,
        help_text=gettext_lazy("Empty: for anybody who has the link."),
        widget=UnfoldAdminEmailInputWidget,
    )
    group = forms.ModelChoiceField(
        label=gettext_lazy("Group"),
        queryset=UserGroup.objects.all(),
        required=False,
        empty_label=gettext_lazy("No group"),
        help_text=gettext_lazy("Users who sign up with the link join it."),
        widget=UnfoldAdminSelectWidget,
    )
    grant = PlainNumberField(
        label=gettext_lazy("Extra credits"),
        decimal_places=CREDIT_PLACES,
        initial=0,
        help_text=gettext_lazy("On top of the welcome credits, for each person."),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    uses = WholeNumberField(
        label=gettext_lazy("How many people"), initial=1, widget=UnfoldAdminIntegerFieldWidget
    )
    last_day = LastDayField(widget=UnfoldAdminSingleDateWidget)

    def clean_last_day(self) -> date | None:
        """The day; raises ValidationError for one that is over, or has no day after it."""
        day: date | None = self.cleaned_data["last_day"]
        if day is not None and not timezone.localdate() <= day < date(MAXYEAR, 1, 1):
            raise forms.ValidationError(_("Choose today or a later day."))
        return day

    def terms(self) -> InvitationTerms:
        """As the service takes them; the end is the moment after the last day."""
        told = self.cleaned_data
        return InvitationTerms(
            note=told["note"],
            email=told["email"],
            group=told["group"],
            grant_ucr=to_ucr(told["grant"]),
            uses=told["uses"],
            expires_at=told["last_day"] and end_of(told["last_day"]),
        )


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Links that let people sign up; never changed, only revoked."""

    list_display = ["__str__", "gives", "group", "used", "until", "state", "people", "created_at"]
    list_filter = ["group", "created_at"]
    list_select_related = ["group"]
    search_fields = ["note", "email"]
    fields = readonly_fields = [
        "note",
        "email",
        "group",
        "gives",
        "used",
        "until",
        "state",
        "people",
        "created_by",
        "created_at",
    ]
    actions_list = ["invite"]
    actions_detail = ["revoke"]

    @admin.display(description=gettext_lazy("extra credits"), ordering="grant_ucr")
    def gives(self, invitation: Invitation) -> str:
        """What each person gets on top."""
        return format_credits(invitation.grant_ucr) if invitation.grant_ucr else "–"

    @admin.display(description=gettext_lazy("used"))
    def used(self, invitation: Invitation) -> str:
        """How many signed up by it, of how many may."""
        return f"{invitation.uses - invitation.uses_left} / {invitation.uses}"

    @admin.display(description=gettext_lazy("last day"), ordering="expires_at")
    def until(self, invitation: Invitation) -> str:
        """The last day on which it is good."""
        if invitation.expires_at is None:
            return "–"
        last = timezone.localtime(invitation.expires_at) - timedelta(microseconds=1)
        return last.date().isoformat()

    @admin.display(description=gettext_lazy("state"))
    def state(self, invitation: Invitation) -> str:
        """Whether somebody can still sign up by it."""
        if invitation.revoked_at is not None:
            day = timezone.localtime(invitation.revoked_at).date().isoformat()
            return pgettext("invitation", "revoked on %(day)s") % {"day": day}
        if invitation.expires_at is not None and invitation.expires_at <= timezone.now():
            return _("expired")
        return _("open") if invitation.uses_left else _("used up")

    @admin.display(description=gettext_lazy("who signed up"))
    def people(self, invitation: Invitation) -> str:
        """The way to the list of those who came by it."""
        if invitation.uses == invitation.uses_left:
            return "–"
        query = urlencode({"invitation__id__exact": invitation.pk})
        url = reverse("admin:accounts_user_changelist")
        return format_html('<a class="link" href="{}?{}">{}</a>', url, query, _("Show them"))

    @action(description=gettext_lazy("Invite"), url_path="make", icon="person_add")  # type: ignore[untyped-decorator]
    def invite(self, request: HttpRequest) -> HttpResponse:
        """A form for the terms; then the link, which is shown this once."""
        _allow(request)
        form = InviteForm(posted(request))
        question = Question(
            _("Invite people"),
            [_closed() if settings.SIGNUP == "closed" else _mode()],
            [Button("make", _("Create the link"))],
            reverse("admin:accounts_invitation_changelist"),
        )

        def make() -> HttpResponse:
            actor = cast("User", request.user)
            made, token = invitations.make_invitation(actor=actor, terms=form.terms())
            return self._show(request, made, token)

        return ask(self, request, form, question, make)

    def _show(self, request: HttpRequest, made: Invitation, token: str) -> HttpResponse:
        link = f"{settings.PUBLIC_URL or request.build_absolute_uri('/').rstrip('/')}" + reverse(
            "invite", args=[token]
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("The link"),
            "link": link,
            "mailed_to": mail_invitation(invitation=made, token=token),
            "back": reverse("admin:accounts_invitation_change", args=[made.pk]),
        }
        response = TemplateResponse(request, "operations/invitation_made.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @action(  # type: ignore[untyped-decorator]
        description=pgettext_lazy("invitation", "Revoke"),
        url_path="revocation",
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks first; then the invitation's page."""
        _allow(request)
        invitation = get_object_or_404(Invitation, pk=object_id)
        back = reverse("admin:accounts_invitation_change", args=[invitation.pk])
        if request.method == "POST":
            actor = cast("User", request.user)
            if invitations.revoke_invitation(invitation=invitation, actor=actor):
                messages.success(request, _("The link no longer works."))
            return redirect(back)
        question = Question(
            _("Revoke %(invitation)s") % {"invitation": invitation},
            [_("Users who signed up with it stay. Nobody else can sign up with it.")],
            [Button("revoke", _("Revoke it"), "danger")],
            back,
        )
        return ask_page(self, request, forms.Form(), question)


def _allow(request: HttpRequest) -> None:
    if not cast("User", request.user).has_perm("accounts.add_invitation"):
        raise PermissionDenied


def _mode() -> str:
    if settings.SIGNUP == "invite":
        return _("Sign-up is invitation-only. The link is shown once, after this form.")
    return _("Anybody can sign up; a link can bring a group and credits. It is shown once.")


def _closed() -> str:
    return _("Sign-up is closed: a link works only once DARKROOM_SIGNUP is open or invite.")
