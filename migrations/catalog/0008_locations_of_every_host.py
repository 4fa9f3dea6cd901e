"""Locations of models were absolute paths of the host that had added them. Rewritten are the
starter's, and those below this host's folder of models, or below one that lay elsewhere before it
was moved here. Any other stays: `manage.py models scan`, on the host that has it, keeps it anew."""

import os
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db import migrations

STARTER = 'worker/starter/pipeline'


def rewrite(apps, schema_editor):
    for model in apps.get_model('catalog', 'DiffusionModel').objects.all():
        column = 'installed_path' if model.source == 'hub' else 'location'
        kept = getattr(model, column)
        location = location_of(kept, slug=model.slug)
        if location != kept:
            setattr(model, column, location)
            model.save(update_fields=[column])


def location_of(kept, *, slug):
    path = PurePosixPath(kept)
    if not path.is_absolute():
        return kept
    if slug == 'starter' and str(path).endswith(f'/{STARTER}'):
        return 'builtin:starter'
    root = Path(os.path.abspath(settings.MODELS_ROOT))
    for top in (root, root.resolve()):
        if top in Path(path).parents:
            return str(path.relative_to(top))
    return moved(path, root) or kept


def moved(path, root):
    """What lay below a folder of the root's name, is gone from there, and lies below the root."""
    places = [number for number, part in enumerate(path.parts) if part == root.name]
    if not places or Path(path).exists():
        return ''
    tail = PurePosixPath(*path.parts[places[-1] + 1:])
    return str(tail) if tail.parts and (root / tail).exists() else ''


def put_back(apps, schema_editor):
    """As the version before reads them, on this host."""
    root = Path(os.path.abspath(settings.MODELS_ROOT))
    for model in apps.get_model('catalog', 'DiffusionModel').objects.all():
        column = 'installed_path' if model.source == 'hub' else 'location'
        kept = getattr(model, column)
        if kept == 'builtin:starter':
            model.location = str(settings.BASE_DIR / STARTER)
        elif kept:
            setattr(model, column, str(root / kept))
        model.save(update_fields=[column])


class Migration(migrations.Migration):

    needs_stop = 'Workers of the version before take a location for a path and fail the images.'

    dependencies = [
        ('catalog', '0007_model_manifests'),
    ]

    operations = [migrations.RunPython(rewrite, put_back)]
