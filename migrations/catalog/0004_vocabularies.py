import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0003_price_lists'),
    ]

    operations = [
        migrations.AddField(
            model_name='diffusionmodel',
            name='vocabulary_digest',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name='diffusionmodel',
            name='vocabulary_problem',
            field=models.TextField(blank=True, db_default='', default='', help_text='What is wrong with the vocabulary.json in its folder: an older one is kept.', verbose_name='problem of its vocabulary'),
        ),
        migrations.CreateModel(
            name='ModelVocabulary',
            fields=[
                ('model', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='vocabulary', serialize=False, to='catalog.diffusionmodel')),
                ('digest', models.CharField(max_length=64)),
                ('body', models.TextField(blank=True)),
                ('style_names', models.JSONField(blank=True, default=dict)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
        ),
    ]
