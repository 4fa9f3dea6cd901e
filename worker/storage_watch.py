"""Whether images can be kept. While they cannot, nothing is claimed, and what is drawn waits."""

import logging
import secrets
import threading
from collections.abc import Callable

from webapp.core.notices import tell_admins, withdraw
from webapp.generation.storage import StorageAway, StoredFile, delete_files, replace_file
from worker.patience import GaveUp, Patience

logger = logging.getLogger(__name__)

RETRY_S = 2.0


class StorageWatch:
    """Told by each writing how it went. From a first failure on, a thread tries with a file of
    the size that did not go in, until one does."""

    def __init__(self, *, host: str, patience: Patience, on_back: Callable[[], None]) -> None:
        self.host = host
        self.patience = patience
        self.on_back = on_back
        self._changed = threading.Condition()
        self._is_away = False
        self._size_bytes = 0
        # A notice may stand that an earlier process of this host wrote.
        self._is_notice_right = self._is_unread_right = False

    @property
    def is_away(self) -> bool:
        """True from the first failure until something was written again."""
        return self._is_away

    def keep(
        self, write: Callable[[], StoredFile], *, size_bytes: int, is_over: Callable[[], bool]
    ) -> StoredFile | None:
        """What `write` wrote, tried again while the storage is away. None if `is_over` came
        true before; every call gets one try."""
        while True:
            try:
                written = write()
            except StorageAway as error:
                self._note_away(error, size_bytes)
            else:
                self._note_good()
                return written
            if not self._wait(is_over):
                return None

    def note_unread(self, error: StorageAway) -> None:
        """An image was given up because the storage did not give its start image. Raises GaveUp."""
        self._is_unread_right = False
        told = (
            f"{self.host} cannot read start images: its storage is away or refuses to give them."
            " Images that need one fail, and cost nothing."
        )
        self.patience.patiently(
            lambda: tell_admins(code=self._unread_code, sentence=told, detail=str(error))
        )

    def note_read(self) -> None:
        """The storage gave a start image. Raises GaveUp."""
        if self._is_unread_right:
            return
        self._is_unread_right = True
        self.patience.patiently(lambda: withdraw(code=self._unread_code))

    def _wait(self, is_over: Callable[[], bool]) -> bool:
        """True when it is worth another try; False when the caller has no more time."""
        with self._changed:
            while self._is_away and not is_over():
                self._changed.wait(RETRY_S / 4)
        return not is_over()

    def _note_away(self, error: StorageAway, size_bytes: int) -> None:
        with self._changed:
            self._size_bytes = max(self._size_bytes, size_bytes)
            if self._is_away:
                return
            self._is_away, self._is_notice_right = True, False
        logger.error("images cannot be kept, nothing is claimed until they can: %s", error)
        watch = threading.Thread(target=self._watch, args=[str(error)], name="storage", daemon=True)
        watch.start()

    def _note_good(self) -> None:
        with self._changed:
            if self._is_away or self._is_notice_right:
                return
            self._is_notice_right = True
        self._withdraw()

    def _watch(self, detail: str) -> None:
        told = (
            f"{self.host} cannot keep images: its storage is full, read-only or away."
            " It claims nothing, keeps what it has drawn, and goes on by itself."
        )
        try:
            self.patience.patiently(
                lambda: tell_admins(code=self._code, sentence=told, detail=detail)
            )
            while not self._can_write():
                if self.patience.is_over.wait(RETRY_S):
                    return
        except GaveUp:
            return
        self._go_on()

    def _can_write(self) -> bool:
        name = f"probe/{self.host}-{secrets.token_hex(4)}"
        try:
            replace_file(name, b"\0" * self._size_bytes)
            delete_files(name)
        except StorageAway:
            return False
        return True

    def _go_on(self) -> None:
        with self._changed:
            self._is_away, self._size_bytes, self._is_notice_right = False, 0, True
            self._changed.notify_all()
        logger.warning("images can be kept again")
        self.on_back()
        self._withdraw()

    def _withdraw(self) -> None:
        try:
            self.patience.patiently(lambda: withdraw(code=self._code))
        except GaveUp:
            logger.warning("the notice about the storage of %s still stands", self.host)

    @property
    def _code(self) -> str:
        return f"storage:{self.host}"

    @property
    def _unread_code(self) -> str:
        return f"start_images:{self.host}"
