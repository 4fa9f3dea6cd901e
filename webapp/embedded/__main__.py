"""`python -m webapp.embedded up` runs the studio, `servers` only its PostgreSQL and Valkey, and
`run` those for the length of one command; `upgrade` takes the data to a newer PostgreSQL."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from webapp.embedded.errors import EmbeddedError
from webapp.embedded.output import say
from webapp.embedded.paths import VarLayout
from webapp.embedded.private import keep_files_private
from webapp.embedded.stack import PROJECT, Stack, run_command, run_servers, run_stack
from webapp.embedded.upgrading import upgrade_postgres

DEFAULT_PORT = 8000
MAX_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 after a requested stop, 1 when it could not start, or when the one
    command of `run` failed or was stopped."""
    keep_files_private()
    wanted = _parser().parse_args(arguments)
    layout = VarLayout(wanted.var or Path(os.environ.get("DARKROOM_VAR") or PROJECT / "var"))
    try:
        if wanted.command == "servers":
            run_servers(layout)
        elif wanted.command == "upgrade":
            kept = upgrade_postgres(layout)
            say(f"done; the old data is kept in {kept}: delete it when you need it no more")
        elif wanted.command == "run":
            stack = _stack(layout, DEFAULT_PORT, os.environ)
            return 0 if run_command(stack, wanted.words, with_worker=wanted.worker) else 1
        else:
            run_stack(_stack(layout, wanted.port, os.environ))
    except EmbeddedError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    return 0


def _stack(layout: VarLayout, port: int, environment: Mapping[str, str]) -> Stack:
    return Stack(
        layout=layout,
        host=environment.get("DARKROOM_HOST") or "127.0.0.1",
        port=port,
        user_environment=dict(environment),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m webapp.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run the whole studio")
    up.add_argument("--port", type=_port, default=DEFAULT_PORT)
    servers = commands.add_parser("servers", help="run PostgreSQL and Valkey, print their URLs")
    run = commands.add_parser("run", help="run what a command needs, and that command to its end")
    run.add_argument("--worker", action="store_true", help="a worker, too")
    run.add_argument("words", nargs=argparse.REMAINDER, help="manage.py and what follows it")
    upgrade = commands.add_parser("upgrade", help="take PostgreSQL's data to a newer major version")
    for command in (up, servers, run, upgrade):
        command.add_argument("--var", type=Path, help="the folder of all data (DARKROOM_VAR)")
    return parser


def _port(text: str) -> int:
    # As `webapp.core.digits` reads numbers; this package leans on nothing.
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to {MAX_PORT}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
