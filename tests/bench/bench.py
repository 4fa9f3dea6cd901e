"""What every part of the bench is given: a folder, and perhaps a checkout to compare with."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.trial import PROJECT, Trial, TrialFailedError

GIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of `make bench`. `base` is the checkout of `BASE=...`; None without."""

    folder: Path
    threads: int = 1
    base: Path | None = None

    @property
    def checkouts(self) -> dict[str, Path]:
        """The sides to measure in turns: `now`, and `base` if there is one."""
        return {"now": PROJECT} | ({"base": self.base} if self.base else {})

    def trial(
        self, name: str, settings: Mapping[str, str] | None = None, *, checkout: Path = PROJECT
    ) -> Trial:
        """A studio that does not run yet, in a folder of its own, with the bench's threads."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        threads = {"DARKROOM_TORCH_THREADS": str(self.threads)}
        return Trial(folder, {**threads, **(settings or {})}, checkout=checkout)

    @contextmanager
    def running(
        self, name: str, settings: Mapping[str, str] | None = None, *, checkout: Path = PROJECT
    ) -> Iterator[tuple[Trial, Path]]:
        """(a studio that runs and offers a tiny model, that model's folder)."""
        trial = self.trial(name, settings, checkout=checkout)
        with trial.running():
            yield trial, trial.offer_tiny_model(side_px=128)


@contextmanager
def checkout_of(revision: str) -> Iterator[Path]:
    """A clone at the revision, removed afterwards; this checkout stays as it is. Raises
    TrialFailedError if this clone does not know the revision."""
    with tempfile.TemporaryDirectory(prefix="darkroom-base-") as folder:
        target = Path(folder) / "checkout"
        commit = git("rev-parse", "--verify", f"{revision}^{{commit}}").strip()
        git("clone", "--quiet", "--shared", "--no-checkout", str(PROJECT), str(target))
        git("-C", str(target), "checkout", "--quiet", "--detach", commit)
        yield target


def git(*arguments: str) -> str:
    """What git printed; raises TrialFailedError with its complaint."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=GIT_S,
    )
    if done.returncode:
        raise TrialFailedError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
