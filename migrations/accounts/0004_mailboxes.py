"""Fills in the mailbox of everybody who is there: the first one of a mailbox gets it, later ones
keep their account and stay without."""

from django.db import migrations

from webapp.accounts.mailboxes import mailbox_of

BATCH = 1000


def fill(apps, schema_editor):
    User = apps.get_model('accounts', 'User')
    taken = set(User.objects.exclude(mailbox=None).values_list('mailbox', flat=True))
    batch = []
    for user in User.objects.filter(mailbox=None).order_by('pk').only('email').iterator():
        mailbox = mailbox_of(user.email)
        if not mailbox or mailbox in taken:
            continue
        taken.add(mailbox)
        user.mailbox = mailbox
        batch.append(user)
        if len(batch) == BATCH:
            User.objects.bulk_update(batch, ['mailbox'])
            batch.clear()
    User.objects.bulk_update(batch, ['mailbox'])


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_session_epoch'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
