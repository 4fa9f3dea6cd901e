"""The language in which somebody is written to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_mailboxes_of_providers")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=16
            ),
        ),
    ]
