"""`make audit`: known vulnerabilities of the pinned packages, by pip-audit.

pip-audit ends with 0 and "No known vulnerabilities found" when its index knew none of the
packages. Here only an audit that looked at every package can be clean.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packages import LOCK, normalise, read_lock

TIMEOUT_S = 600
SHOWN = 5

Finding = Mapping[str, Any]


def main(words: Sequence[str] = ()) -> int:
    """0 if every package was looked up and none is known to be vulnerable; 1 with what is wrong
    otherwise. `words` are further options of pip-audit."""
    try:
        report = run_pip_audit(words)
    except ValueError as error:
        print(f"The packages were not audited: {error}")
        return 1
    pinned = [one.name for one in read_lock(LOCK.read_text("utf-8")).values() if not one.marker]
    faults = [*find_unaudited(report, pinned), *find_vulnerable(report)]
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{len(report)} packages were audited; none has a known vulnerability.")
    return 1 if faults else 0


def run_pip_audit(words: Sequence[str]) -> list[Finding]:
    """What pip-audit found out about each package of the lock that this system takes; raises
    ValueError with a sentence if it ended without telling."""
    program = str(Path(sys.executable).with_name("pip-audit"))
    options = ["--format", "json", "--progress-spinner", "off", "--disable-pip", "--require-hashes"]
    command = [program, *options, *words, "--requirement", str(LOCK)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"no answer within {TIMEOUT_S} s") from error
    return read_report(done.stdout, complaint=done.stderr)


def read_report(text: str, *, complaint: str = "") -> list[Finding]:
    """pip-audit's list of packages; raises ValueError if `text` holds none, with the last line
    of its complaint."""
    try:
        found: list[Finding] = json.loads(text)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        last = next(iter(reversed(complaint.strip().splitlines())), "pip-audit said nothing")
        raise ValueError(last) from error
    return found


def find_unaudited(report: Sequence[Finding], pinned: Sequence[str]) -> Iterator[str]:
    """One sentence if packages could not be looked up, or were left out."""
    looked_up = {normalise(one["name"]) for one in report if "skip_reason" not in one}
    every = {normalise(one["name"]) for one in report} | set(pinned)
    if not every:
        yield "The packages were not audited: there is none in the list."
    if missed := sorted(every - looked_up):
        names = ", ".join(missed[:SHOWN]) + (", ..." if len(missed) > SHOWN else "")
        reason = next((one["skip_reason"] for one in report if "skip_reason" in one), "left out")
        yield (
            f"{len(missed)} of {len(every)} packages could not be audited ({names}), so this says "
            f"nothing about them. The first reason: {reason}"
        )


def find_vulnerable(report: Sequence[Finding]) -> Iterator[str]:
    """A sentence for each known vulnerability, with the versions that mend it."""
    for one in report:
        for known in one.get("vulns", []):
            mended = ", ".join(known["fix_versions"]) or "no version yet"
            yield f"{one['name']} {one['version']}: {known['id']}, mended in {mended}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
