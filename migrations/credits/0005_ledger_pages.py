"""The ledger of the admin site turns a million pages by these, newest first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("credits", "0004_statement_index"),
    ]

    operations = [
        migrations.AlterField(
            model_name="transaction",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("balance_after_ucr__isnull", False)),
                fields=["amount_ucr"],
                name="entry_amount",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(fields=["-created_at", "-id"], name="transaction_newest"),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                fields=["kind", "-created_at", "-id"], name="transaction_kind_newest"
            ),
        ),
    ]
