from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0003_plain_words"),
    ]

    operations = [
        migrations.CreateModel(
            name="BackupRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("backup", "backup"),
                            ("drill", "restore drill"),
                            ("restore", "restore"),
                        ],
                        max_length=7,
                        verbose_name="kind",
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True, verbose_name="when")),
                ("name", models.CharField(blank=True, max_length=40, verbose_name="name")),
                ("place", models.CharField(blank=True, max_length=500, verbose_name="place")),
                ("size_bytes", models.BigIntegerField(default=0, verbose_name="size")),
                ("images", models.PositiveIntegerField(default=0, verbose_name="images")),
                ("took_s", models.FloatField(verbose_name="seconds")),
                ("failure", models.TextField(blank=True, verbose_name="failure")),
            ],
            options={
                "verbose_name": "backup",
                "verbose_name_plural": "backups",
                "ordering": ["-id"],
            },
        ),
    ]
