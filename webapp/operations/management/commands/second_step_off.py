"""`manage.py second_step_off ADDRESS`: for an administrator who lost phone and recovery codes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.accounts.models import User
from webapp.core.errors import Conflict
from webapp.operations.people import take_off_second_step


class Command(BaseCommand):
    """Removes somebody's authenticator app, passkeys and recovery codes; the audit log says so."""

    help = "Turns off somebody's two-factor authentication: the password alone is enough again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="e-mail address of the account")

    def handle(self, *args: Any, **options: Any) -> None:
        """Says that it is done; raises CommandError if there is no such account or step."""
        user = User.objects.filter(email__iexact=options["address"]).first()
        if user is None:
            raise CommandError(f"There is no account {options['address']}.")
        try:
            take_off_second_step(user=user, actor=None, reason="manage.py second_step_off")
        except Conflict as error:
            raise CommandError(error.sentence) from error
        self.stdout.write(f"The password alone opens {user.email} again.")
