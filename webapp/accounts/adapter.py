"""How django-allauth makes our users, and whether it may."""

import logging
from types import SimpleNamespace
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import (
    AUTHENTICATION_METHODS_SESSION_KEY,
    get_authentication_records,
)
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from webapp.accounts import invitations, limits
from webapp.accounts.known_browsers import remember_browser
from webapp.accounts.mailboxes import mailbox_of
from webapp.accounts.models import ADDRESS_TAKEN, User
from webapp.accounts.networks import client_address
from webapp.core.errors import Conflict, TooMany
from webapp.core.links import public_host, public_link

logger = logging.getLogger(__name__)

OVER_LIMIT = {"too_many_login_attempts", "rate_limited"}


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up is open, by invitation or closed, by setting; a user, the use of their invitation
    and their account are one commit."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """False shows the "sign-up is closed" page; raises ImmediateHttpResponse with a page that
        asks for an invitation if one is needed."""
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
        """The address; raises ValidationError if it is too long (allauth would cut it off)."""
        cleaned: str = super().clean_email(email)
        most = User._meta.get_field("email").max_length or 0
        if max(len(cleaned), len(mailbox_of(cleaned))) > most:
            sentence = _("An e-mail address has at most %(most)d characters.")
            raise ValidationError(sentence % {"most": most})
        return cleaned

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """The saved user, who took one use of the invitation that they came by; the welcome
        credits come at once, or when the mailbox is confirmed.

        Raises Conflict if a request beside this one took the address, or the last use of the
        invitation, after the form was checked; then there is no account.
        """
        user.signup_address = client_address(request)
        user.language = get_language() or ""
        user.welcome_waits = settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory"
        email = form.cleaned_data["email"]
        try:
            with transaction.atomic():
                self._use_invitation(request, user, email)
                saved: User = super().save_user(request, user, form, commit)
        except IntegrityError as error:
            if not User.objects.has_mailbox_of(email):
                raise
            raise Conflict(ADDRESS_TAKEN) from error
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
        """True if the address is confirmed now. Raises Conflict if somebody else took its
        mailbox since the mail was sent; then nothing changes."""
        try:
            with transaction.atomic():
                return bool(super().confirm_email(request, email_address))
        except IntegrityError as error:
            raise Conflict(ADDRESS_TAKEN) from error

    def can_delete_email(self, email_address: EmailAddress) -> bool:
        """False for the address that somebody signs in with: they would have none left."""
        is_theirs = email_address.email.lower() == email_address.user.email.lower()
        return not is_theirs and bool(super().can_delete_email(email_address))

    def get_client_ip(self, request: HttpRequest) -> str:
        """The visitor's address; X-Forwarded-For counts only behind `DARKROOM_TRUSTED_PROXIES`."""
        return client_address(request)

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """The user of that address and password; None if they don't fit. Raises TooMany after
        five wrong ones from here within five minutes."""
        address = str(credentials.get("email", ""))
        counted = limits.count_password(request, address=address)
        user: User | None = super().authenticate(request, **credentials)
        if user is not None:
            limits.give_back(counted)
        return user

    def reauthenticate(self, user: User, password: str) -> bool:
        """True if it is the password of the user, who is signed in. Raises TooMany after five
        wrong ones in this session within five minutes: what strangers try elsewhere, or what was
        tried at sign-in, keeps no administrator from an act that asks for the password again."""
        counted = limits.count_again(self.request)
        is_right = user.check_password(password)
        if is_right:
            limits.give_back(counted)
        return is_right

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        """The error for a form. Raises TooMany if it is about a limit: that is no fault of a
        field, and is answered with 429."""
        if code in OVER_LIMIT:
            raise TooMany(_("Too many attempts. Try again in a few minutes."))
        error: ValidationError = super().validation_error(code, *args)
        return error

    def login(self, request: HttpRequest, user: User) -> None:
        """Signs in. The password, or what stood for it, was given a moment ago: acts that ask for
        it again don't ask within five minutes of it. The session ends with the browser, unless it
        was asked to be kept."""
        super().login(request, user)
        if request.POST.get("remember"):
            request.session.set_expiry(settings.SESSION_COOKIE_AGE)
        records = get_authentication_records(request, user)
        if records:
            request.session[AUTHENTICATION_METHODS_SESSION_KEY] = [
                *records[:-1],
                {**records[-1], "reauthenticated": True},
            ]

    def post_login(self, request: HttpRequest, user: User, **facts: Any) -> HttpResponseBase:
        """The answer to a sign-in, by which the browser is known from now on."""
        response: HttpResponseBase = super().post_login(request, user, **facts)
        remember_browser(request, response, address=user.email)
        return response

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Sends one of allauth's mails, unless the address got enough of them within the hour.
        Every link in it leads to the studio's own address, whatever host the request named."""
        if not limits.may_mail(self.request, address=email):
            logger.warning("a mail of %s was not sent: too many in an hour", template_prefix)
            return
        links = {name: public_link(url) for name, url in context.items() if name.endswith("_url")}
        site = SimpleNamespace(name="Darkroom", domain=public_host())
        super().send_mail(template_prefix, email, {**context, **links, "current_site": site})
