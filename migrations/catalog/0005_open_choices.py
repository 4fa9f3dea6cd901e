"""Architectures and samplers come and go without a migration: choices are asked for when needed."""

from django.db import migrations, models

import webapp.catalog.architectures
import webapp.catalog.samplers


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0004_vocabularies'),
    ]

    operations = [
        migrations.AlterField(
            model_name='diffusionmodel',
            name='family',
            field=models.CharField(choices=webapp.catalog.architectures.architecture_choices, max_length=16, verbose_name='family'),
        ),
        migrations.AlterField(
            model_name='diffusionmodel',
            name='sampler',
            field=models.CharField(choices=webapp.catalog.samplers.sampler_choices, max_length=32, verbose_name='sampler'),
        ),
    ]
