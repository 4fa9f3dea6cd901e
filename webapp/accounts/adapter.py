"""How django-allauth makes our users, and whether it may."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.shortcuts import render
from django.utils.translation import gettext as _

from webapp.accounts import invitations
from webapp.accounts.mailboxes import mailbox_of
from webapp.accounts.models import User
from webapp.core.errors import Conflict


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up is open, by invitation or closed, by setting; a user, the use of their invitation
    and their account are one commit."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """False shows the "sign-up is closed" page; raises ImmediateHttpResponse with a page that
        asks for an invitation where one is needed."""
        by_invitation = settings.SIGNUP == "invite"
        # One that was used up meanwhile still shows the form's sentence to whoever sent the form.
        if by_invitation and not self._is_invited(request):
            page = render(request, "account/signup_by_invitation.html")
            raise ImmediateHttpResponse(page)
        return bool(settings.SIGNUP != "closed")

    def _is_invited(self, request: HttpRequest) -> bool:
        if request.method == "POST":
            return invitations.came_invited(request)
        return invitations.remembered_invitation(request) is not None

    def clean_email(self, email: str) -> str:
        """The address; raises ValidationError where it is too long (allauth would cut it off)."""
        cleaned: str = super().clean_email(email)
        most = User._meta.get_field("email").max_length or 0
        if max(len(cleaned), len(mailbox_of(cleaned))) > most:
            sentence = _("An e-mail address has at most %(most)d characters.")
            raise ValidationError(sentence % {"most": most})
        return cleaned

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """The saved user, who took one use of the invitation that they came by; the welcome
        credits come at once, or when the mailbox is confirmed.

        Raises Conflict where a request beside this one took the address, or the last use of the
        invitation, after the form was checked; then there is no account.
        """
        user.welcome_waits = settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory"
        email = form.cleaned_data["email"]
        try:
            with transaction.atomic():
                self._use_invitation(request, user, email)
                saved: User = super().save_user(request, user, form, commit)
        except IntegrityError as error:
            if not User.objects.has_mailbox_of(email):
                raise
            raise Conflict(_("There is an account with this address already.")) from error
        invitations.forget_invitation(request)
        return saved

    def _use_invitation(self, request: HttpRequest, user: User, email: str) -> None:
        pk = request.session.get(invitations.SESSION_KEY)
        if pk is None:
            return
        try:
            user.invitation = invitations.use_invitation(invitation_id=pk, email=email)
        except Conflict:
            invitations.forget_invitation(request)
            raise
        user.group = user.invitation.group

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """True where the address is confirmed now. Raises Conflict where somebody else took its
        mailbox since the mail was sent; then nothing changes."""
        sentence = _("Somebody else has this mailbox, perhaps under another spelling.")
        try:
            with transaction.atomic():
                return bool(super().confirm_email(request, email_address))
        except IntegrityError as error:
            raise Conflict(sentence) from error

    def can_delete_email(self, email_address: EmailAddress) -> bool:
        """False for the address that somebody signs in with: they would have none left."""
        is_theirs = email_address.email.lower() == email_address.user.email.lower()
        return not is_theirs and bool(super().can_delete_email(email_address))

    def get_client_ip(self, request: HttpRequest) -> str:
        """The visitor's address; X-Forwarded-For counts only behind `DARKROOM_TRUSTED_PROXIES`."""
        direct: str = request.META.get("REMOTE_ADDR", "") or "local"
        if not settings.TRUSTED_PROXIES:
            return direct
        hops = request.headers.get("X-Forwarded-For", "").split(",")
        chain = [hop.strip() for hop in hops if hop.strip()] + [direct]
        return chain[max(0, len(chain) - 1 - settings.TRUSTED_PROXIES)]
