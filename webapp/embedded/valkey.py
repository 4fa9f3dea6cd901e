"""The embedded Valkey: a message broker that keeps what it was told across restarts."""

import os
import signal
import socket
from pathlib import Path

from webapp.embedded.binaries import find_valkey
from webapp.embedded.identity import server_identity
from webapp.embedded.paths import VarLayout
from webapp.embedded.process import Service

PING_TIMEOUT_S = 1.0


def prepare_valkey(layout: VarLayout, *, fsync: bool = True) -> Service:
    """Return the service, its folders made if there were none.

    With `fsync` an append-only file is synced each second; without, nothing is kept.
    Raises BinaryNotFoundError or DataFolderError.
    """
    binary = find_valkey()
    layout.create()
    layout.valkey_data.mkdir(mode=0o700, exist_ok=True)
    identity = server_identity(layout.valkey_data)
    identity.open_way_through(layout.var_dir)
    identity.adopt(layout.create_run(owner_uid=identity.owner_uid))
    identity.adopt(layout.valkey_data)
    identity.require_reach(binary)
    identity.require_reach(layout.valkey_data)
    socket_path = layout.valkey_socket
    return Service(
        name="valkey",
        argv=(str(binary), *_options(layout, keep=fsync)),
        env=dict(os.environ),
        ready=lambda _pid: _answers(socket_path),
        stop_signal=signal.SIGTERM,
        stop_timeout_s=15,
        orphan_signal=signal.SIGTERM,
        echo=False,
        prefix=identity.prefix,
    )


def _options(layout: VarLayout, *, keep: bool) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(layout.valkey_socket),
        "unixsocketperm": "700",
        "dir": str(layout.valkey_data),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes" if keep else "no",
        "appendfsync": "everysec",
        # A broker that forgets messages to save memory is worse than one that refuses new ones.
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _answers(path: Path) -> bool:
    # While it reads its file back it answers -LOADING.
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PING_TIMEOUT_S)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
    except OSError:
        return False
