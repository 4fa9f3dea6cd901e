"""allauth's forms of two-factor authentication, in our words."""

from typing import Any

from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.utils.translation import gettext_lazy as _

from webapp.accounts import limits

MAX_NAME_LENGTH = 60


class _Code(forms.Form):
    """A field for six digits, or for a recovery code; a phone offers what it just received."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["code"]
        field.label = _("Code")
        field.widget.attrs = {
            "autocomplete": "one-time-code",
            "inputmode": "numeric",
            "autofocus": True,
        }


class SignInCodeForm(_Code, AuthenticateForm):  # type: ignore[misc]
    """The code that a sign-in asks for."""

    def clean_code(self) -> str:
        """The code, if it is right. Raises TooMany after five wrong ones from here."""
        counted = limits.count_code(context.request, user=self.user)
        code: str = super().clean_code()
        limits.give_back(counted)
        return code


class AgainCodeForm(_Code, ReauthenticateForm):  # type: ignore[misc]
    """The code in place of the password, when something asks whether it is still you."""

    def clean_code(self) -> str:
        """The code, if it is right. Raises TooMany after five wrong ones in this session."""
        counted = limits.count_again(context.request)
        code: str = super().clean_code()
        limits.give_back(counted)
        return code


class FirstCodeForm(_Code, ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new authenticator app, which shows that it has the secret."""


class _Name(forms.Form):
    """What its owner calls a passkey."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = forms.CharField(
            label=_("Name"),
            help_text=_("To tell your devices apart: “My phone”, “Blue key”."),
            max_length=MAX_NAME_LENGTH,
            required=False,
        )


class AddPasskeyForm(_Name, AddWebAuthnForm):  # type: ignore[misc]
    """A name, and whether the passkey opens the door by itself."""

    passwordless = forms.BooleanField(
        label=_("Sign in with it alone, without the password"), required=False, initial=True
    )
    field_order = ("name", "passwordless", "credential")


class RenamePasskeyForm(_Name, EditWebAuthnForm):  # type: ignore[misc]
    """The name that a passkey gets in place of its present one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = True
