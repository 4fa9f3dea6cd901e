"""What can go wrong before Django runs.

EmbeddedError
├── AlreadyRunningError   another supervisor holds this var folder
├── BinaryNotFoundError   no PostgreSQL or Valkey to run
├── DataFolderError       the data cannot be used as it is
├── DumpFailedError       a database was not written to an archive, or not loaded from it
├── PortTakenError        somebody else listens there
└── StartFailedError      a service ended, or was not ready in time, while starting

StopRequested is no error: somebody asked the supervisor to stop.
"""


class EmbeddedError(Exception):
    """Base class; its text is one clear sentence for the person at the terminal."""


class AlreadyRunningError(EmbeddedError):
    """Another process holds the lock of this var folder."""


class BinaryNotFoundError(EmbeddedError):
    """A server's executable was found neither in the environment, a wheel nor the system."""


class DataFolderError(EmbeddedError):
    """A folder has the wrong owner, mode or PostgreSQL version."""


class DumpFailedError(EmbeddedError):
    """`pg_dump` or `pg_restore` failed, or did not end in time."""


class PortTakenError(EmbeddedError):
    """The port for the web server is in use."""


class StartFailedError(EmbeddedError):
    """A service ended, or was not ready in time, while the stack was starting."""


class StopRequested(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived: unwind and stop every service."""
