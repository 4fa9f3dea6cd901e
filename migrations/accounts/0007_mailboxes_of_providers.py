"""Works the mailboxes out anew, by the rules of more providers: the first one of a mailbox gets it,
later ones keep their account and the mailbox that they had."""

from django.db import migrations

from webapp.accounts.mailboxes import mailbox_of

BATCH = 1000


def work_out(apps, schema_editor):
    User = apps.get_model("accounts", "User")
    taken = set(User.objects.exclude(mailbox=None).values_list("mailbox", flat=True))
    batch = []
    for user in User.objects.exclude(mailbox=None).order_by("pk").only("email", "mailbox").iterator():
        mailbox = mailbox_of(user.email)
        if mailbox in taken:
            continue
        taken.add(mailbox)
        user.mailbox = mailbox
        batch.append(user)
        if len(batch) == BATCH:
            User.objects.bulk_update(batch, ["mailbox"])
            batch.clear()
    User.objects.bulk_update(batch, ["mailbox"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_newest_people")]

    operations = [migrations.RunPython(work_out, migrations.RunPython.noop)]
