"""What was given to which mailbox, as HMACs; how many were welcomed from where; whose welcome waits."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE TRIGGER mailbox_grant_append_only BEFORE UPDATE OR DELETE ON credits_mailboxgrant
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER mailbox_grant_never_emptied BEFORE TRUNCATE ON credits_mailboxgrant
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();
"""
BACKWARD = """
DROP TRIGGER mailbox_grant_never_emptied ON credits_mailboxgrant;
DROP TRIGGER mailbox_grant_append_only ON credits_mailboxgrant;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0007_ledger_amounts'),
    ]

    operations = [
        migrations.AddField(
            model_name='account',
            name='welcome_held',
            field=models.CharField(blank=True, choices=[('network', 'many accounts were made from the same network that day'), ('throwaway', 'the address is of a service for throw-away addresses')], db_default='', max_length=10, verbose_name='welcome credits wait'),
        ),
        migrations.CreateModel(
            name='NetworkWelcomes',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('network', models.CharField(max_length=64)),
                ('welcomes', models.PositiveIntegerField(default=0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('day', 'network'), name='network_welcomes_once_a_day')],
            },
        ),
        migrations.CreateModel(
            name='MailboxGrant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mailbox', models.CharField(max_length=64)),
                ('what', models.CharField(max_length=120)),
                ('transaction', models.OneToOneField(on_delete=django.db.models.deletion.RESTRICT, related_name='+', to='credits.transaction')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('mailbox', 'what'), name='mailbox_grant_once')],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
