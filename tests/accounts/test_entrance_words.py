"""What allauth's forms say comes from the studio's own catalogue, in every language with one."""

import gettext
from collections.abc import Iterator
from pathlib import Path

import pytest
from allauth.account import forms as account_forms
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django import forms
from django.conf import settings
from django.test import Client
from django.utils import translation

from webapp.accounts.entrance_words import ENTRANCE_WORDS

LOCALES = Path(settings.LOCALE_PATHS[0])
CATALOGS = sorted(LOCALES.glob("*/LC_MESSAGES/django.mo"))
# Nobody here has a telephone number or another name than the e-mail address.
UNUSED = ("phone", "username")
FORMS = (
    account_forms.LoginForm,
    account_forms.SignupForm,
    account_forms.AddEmailForm,
    account_forms.ChangePasswordForm,
    account_forms.SetPasswordForm,
    account_forms.ResetPasswordForm,
    account_forms.ResetPasswordKeyForm,
    account_forms.ReauthenticateForm,
)


def refusals() -> Iterator[str]:
    for adapter in (DefaultAccountAdapter, DefaultMFAAdapter):
        for code, sentence in adapter.error_messages.items():
            if not any(unused in code for unused in UNUSED):
                yield str(sentence)


def labels() -> Iterator[str]:
    for form in FORMS:
        for name, field in form.base_fields.items():
            if name not in UNUSED and isinstance(field, forms.Field):
                yield str(field.label or "")
                yield str(field.widget.attrs.get("placeholder", ""))


def test_all_that_allauth_says_is_listed() -> None:
    with translation.override("en"):
        said = {text for text in (*refusals(), *labels()) if text}
    assert said - set(ENTRANCE_WORDS) == set()


@pytest.mark.parametrize("catalog", CATALOGS, ids=lambda path: path.parts[-3])
def test_the_studio_has_words_of_its_own_for_each(catalog: Path) -> None:
    with catalog.open("rb") as file:
        ours = gettext.GNUTranslations(file)
    assert [words for words in ENTRANCE_WORDS if ours.gettext(words) == words] == []


def test_a_wrong_password_is_refused_in_the_words_of_the_studio(client: Client, db: None) -> None:
    form = {"login": "nobody@example.org", "password": "not this one"}
    page = client.post("/accounts/login/", form, headers={"Accept-Language": "ko"})
    assert "이메일 또는 비밀번호가 올바르지 않습니다." in page.content.decode()
    assert "비밀번호를 잊으셨나요?" in page.content.decode()
