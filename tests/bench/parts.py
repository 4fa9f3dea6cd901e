"""The parts of `make bench`, by the names that `ONLY=posting,uploads` takes, in their order.

A part is a function of a `Bench` that yields figures as they are measured and raises
TrialFailedError if it cannot go on; the others are measured all the same. A part that compares two
commits measures every side of `bench.checkouts`, in turns, and tells the ratio if there is a base.
"""

from collections.abc import Callable, Iterator

from tests.bench.bench import Bench
from tests.bench.books import measure_books
from tests.bench.ci import measure_ci
from tests.bench.drawing import measure_drawing
from tests.bench.figures import Figure
from tests.bench.files import measure_files
from tests.bench.gallery import measure_gallery
from tests.bench.holds import measure_holds
from tests.bench.large import measure_large
from tests.bench.load import measure_load
from tests.bench.loading import measure_loading
from tests.bench.models import measure_models
from tests.bench.neighbours import measure_neighbours
from tests.bench.posting import measure_posting
from tests.bench.restoring import measure_restoring
from tests.bench.starting import measure_starting
from tests.bench.storage import measure_storage
from tests.bench.streams import measure_streams
from tests.bench.uploads import measure_uploads
from tests.bench.waiting import measure_waiting

Part = Callable[[Bench], Iterator[Figure]]

PARTS: dict[str, Part] = {
    "starting": measure_starting,
    "files": measure_files,
    "loading": measure_loading,
    "drawing": measure_drawing,
    "posting": measure_posting,
    "holds": measure_holds,
    "neighbours": measure_neighbours,
    "streams": measure_streams,
    "uploads": measure_uploads,
    "books": measure_books,
    "gallery": measure_gallery,
    "large": measure_large,
    "storage": measure_storage,
    "waiting": measure_waiting,
    "restoring": measure_restoring,
    "load": measure_load,
    "models": measure_models,
}
# Measured only if named: they take as long as everything else together.
ONLY_IF_NAMED: dict[str, Part] = {"ci": measure_ci}
