import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0006_plain_words'),
    ]

    operations = [
        migrations.AlterField(
            model_name='diffusionmodel',
            name='location',
            field=models.CharField(help_text="Below each host's own DARKROOM_MODELS; a path that begins with / must be the same on every host.", max_length=500, verbose_name='folder, file or hub id'),
        ),
        migrations.CreateModel(
            name='ModelManifest',
            fields=[
                ('model', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='manifest', serialize=False, to='catalog.diffusionmodel')),
                ('files', models.JSONField()),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
        ),
    ]
