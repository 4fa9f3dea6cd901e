from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_groups_and_invitations'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='session_epoch',
            field=models.CharField(blank=True, editable=False, help_text='Part of what sessions are checked against: changing it ends them all.', max_length=32),
        ),
    ]
