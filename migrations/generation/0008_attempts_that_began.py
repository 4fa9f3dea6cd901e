from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0007_search_folding")]

    operations = [
        migrations.AddField(
            model_name="image",
            name="drawing_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="image",
            name="ended_lease",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="image",
            name="lost_leases",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
