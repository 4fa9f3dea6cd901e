from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0008_attempts_that_began")]

    operations = [
        migrations.AddField(
            model_name="generation",
            name="more",
            field=models.JSONField(blank=True, db_default={}, default=dict),
        ),
    ]
