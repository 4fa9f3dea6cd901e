"""Become another program that does not outlive the supervisor.

Run as a script: guard.py PARENT_PID ORPHAN_SIGNAL NICE PROGRAM ARGUMENT...

The kernel sends ORPHAN_SIGNAL when the supervisor dies (Linux; elsewhere the supervisor's record
of processes is the only net). It is asked for here, as the last step before the program, because
a change of user in between, such as setpriv's, would clear it.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent_pid, orphan_signal, niceness = (int(word) for word in sys.argv[1:4])
    program = sys.argv[4:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, orphan_signal)
    # The supervisor may have died before prctl: then no signal would ever come.
    if os.getppid() != parent_pid:
        sys.exit("the supervisor is gone")
    if niceness:
        os.nice(niceness)
    # What services write is their user's alone, whoever started the supervisor.
    os.umask(0o077)
    os.execvp(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
