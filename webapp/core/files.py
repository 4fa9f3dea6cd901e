"""How many files, connections among them, this process may have open."""

import resource

MOST = 10_240  # what every system that we run on lets a process have


def allow_open_files() -> None:
    """Raises the limit as far as the system allows, to ten thousand: each page that is open keeps
    a connection, and systems begin with a limit of a thousand or less."""
    now, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if allowed == resource.RLIM_INFINITY else min(MOST, allowed)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, allowed))
