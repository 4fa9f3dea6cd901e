"""The admin site: people with their credits, the ledger (read-only), the catalog, the queue.

Every file of this folder is imported, so that its classes are registered.
"""

from importlib import import_module
from pkgutil import iter_modules

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
