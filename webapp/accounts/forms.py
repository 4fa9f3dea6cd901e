"""allauth's forms, with the rule of one account a mailbox and with invitations."""

from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.forms import AddEmailForm, LoginForm, SignupForm
from allauth.account.models import EmailAddress
from allauth.core import context
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.accounts import invitations
from webapp.accounts.models import User


class SignInForm(LoginForm):  # type: ignore[misc]
    """Address and password, and whether the browser stays signed in when it is closed."""

    remember = forms.BooleanField(
        label=gettext_lazy("Keep me signed in on this browser"), required=False
    )


class SignUpForm(SignupForm):  # type: ignore[misc]
    """An address, a password, and the invitation that the visitor came by, if any."""

    account_already_exists: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = invitations.remembered_invitation(context.request)
        if self.invitation and self.invitation.email:
            self.fields["email"].initial = self.invitation.email

    def validate_unique_email(self, value: str) -> str:
        """The address. Another address of a mailbox that has an account is answered like one
        that has an account itself. Raises ValidationError for an invitation of somebody else."""
        email: str = super().validate_unique_email(value)
        bound_to = self.invitation.email if self.invitation else ""
        if bound_to and bound_to != email:
            raise ValidationError(_("Your invitation is for another e-mail address."))
        if not self.account_already_exists and User.objects.has_mailbox_of(email):
            if not _mails_tell():
                raise get_adapter().validation_error("email_taken")
            self.account_already_exists = True
        return email


class ChangeAddressForm(AddEmailForm):  # type: ignore[misc]
    """A new address for somebody who has an account."""

    def clean_email(self) -> str:
        """The address; raises ValidationError if it leads to somebody else's mailbox, or if
        the present one was never confirmed (allauth would drop that one at once)."""
        email: str = super().clean_email()
        present = EmailAddress.objects.filter(user=self.user, email=self.user.email)
        if not present.filter(verified=True).exists():
            sentence = _("Your current address is not confirmed, so it can't be changed here.")
            raise ValidationError(sentence)
        if User.objects.has_mailbox_of(email, but=self.user):
            raise get_adapter().validation_error("email_taken")
        return email


def _mails_tell() -> bool:
    """True if all sign-ups are answered alike, and only a mail says that there is an account."""
    return bool(
        app_settings.PREVENT_ENUMERATION and settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory"
    )
