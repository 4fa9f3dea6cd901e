"""`make chaos SEED=n MINUTES=m`: a studio of its own is broken for that long, and watched.

Exit status 0 when nothing was lost, 1 when an invariant was violated (the seed, the command and
the folder with everything in it are printed), 2 when the studio did not come up.
"""

import argparse
import datetime
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos import schedule
from tests.chaos.diary import Diary
from tests.chaos.media import Folder, Media, enter_namespace
from tests.chaos.report import Part, page, shortened, summary, table, write_page
from tests.chaos.run import Run
from tests.chaos.s3 import Bucket
from tests.chaos.stack import NotReady
from tests.trial import PROJECT, TrialFailedError


def main() -> int:
    """Exit status."""
    options = parser().parse_args()
    seconds = options.minutes * 60
    storages = (
        (options.storage,)
        if options.storage
        else schedule.storages_of(options.seed, seconds=seconds)
    )
    if not options.plan:
        enter_namespace()
    print_plan(options, storages, seconds)
    if options.plan:
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="dr-chaos-"))
    parts: list[Part] = []
    try:
        for storage in storages:
            parts.append(run_part(folder / storage, storage, options, seconds / len(storages)))
    except (NotReady, TrialFailedError) as error:
        print(f"The studio could not be tried: {error}\nIts folder: {folder}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nInterrupted; everything is stopped. The folder: {folder}", file=sys.stderr)
        return 130
    return conclude(parts, options, folder)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--minutes", type=float, default=5.0)
    made.add_argument("--storage", choices=schedule.STORAGES, help="else the seed's, or each")
    made.add_argument("--only", default="", help="these kinds of fault alone, with commas")
    made.add_argument("--report", type=Path, help="write the tables into this document")
    made.add_argument("--plan", action="store_true", help="only print what would be done")
    made.add_argument("--keep", action="store_true", help="keep the folder in any case")
    return made


def print_plan(options: argparse.Namespace, storages: tuple[str, ...], seconds: float) -> None:
    """The order of faults, before anything is started."""
    for storage in storages:
        print(f"Seed {options.seed}, images in {storage}; as many of these as the time allows:")
        each_s = seconds / len(storages)
        for planned in schedule.plan_run(
            options.seed, storage=storage, seconds=each_s, only=kinds(options)
        ):
            print(f"  {planned}")
    sys.stdout.flush()


def kinds(options: argparse.Namespace) -> list[str]:
    """The kinds of fault that were asked for; [] for all."""
    return [kind for kind in options.only.split(",") if kind]


def run_part(folder: Path, storage: str, options: argparse.Namespace, seconds: float) -> Part:
    """One stack; raises NotReady, TrialFailedError and KeyboardInterrupt, everything stopped."""
    folder.mkdir()
    diary = Diary(folder / "log.jsonl")
    media: Media = Folder(folder) if storage == schedule.FILES else Bucket(folder)
    diary.say(f"{folder}: images in {storage}, by {media.how}")
    faults = schedule.plan_faults(options.seed, storage=storage, only=kinds(options))
    run = Run(folder, seed=options.seed, faults=faults, media=media, diary=diary, seconds=seconds)
    run.part.storage = storage
    try:
        return run.go()
    finally:
        diary.close()


def conclude(parts: list[Part], options: argparse.Namespace, folder: Path) -> int:
    """Prints what was found; exit status."""
    command = f"make chaos SEED={options.seed} MINUTES={options.minutes:g}"
    command += f" STORAGE={options.storage}" if options.storage else ""
    command += f" ONLY={options.only}" if options.only else ""
    print(f"\n{table(parts)}\n\n{summary(parts)}\n")
    if options.report:
        commit = git("rev-parse", "--short", "HEAD")
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        text = page(parts, seed=options.seed, command=command, commit=commit, date=date)
        before = options.report.read_text(encoding="utf-8") if options.report.exists() else ""
        options.report.write_text(write_page(text, before=before), encoding="utf-8")
    found = [one for part in parts for one in part.all_violations]
    if not found:
        print(f"Nothing was lost (seed {options.seed}).")
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        return 0
    print("\n".join(shortened(found)))
    print(
        f"\nSeed {options.seed}; again by: {command}\nEverything is in {folder} (log.jsonl, logs)"
    )
    return 1


def git(*words: str) -> str:
    """What git says."""
    done = subprocess.run(
        ["git", *words], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
