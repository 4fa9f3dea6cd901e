"""People's lines in their own order, with the amounts: the ledger filters by them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("credits", "0006_more_ledger_rules"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("balance_after_ucr__isnull", False)),
                fields=["-id"],
                include=("amount_ucr", "transaction", "kind", "at"),
                name="entry_newest",
            ),
        ),
    ]
