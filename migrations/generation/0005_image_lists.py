"""The admin site lists images newest first, and counts what became of those of a day."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0003_price_lists"),
        ("generation", "0004_modes_favourites_bin"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["-created_at", "-id"], name="image_newest"),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                fields=["-finished_at"], include=("state", "failure_code"), name="image_finished"
            ),
        ),
    ]
