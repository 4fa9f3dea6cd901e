"""`manage.py models add|list|enable|disable|download|scan|inspect|check`: the models on offer.

The command never opens weights itself: it asks `worker.pipelines` in a process of its own, so
that the deep-learning libraries stay out of Django.
"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.catalog import loras, services
from webapp.catalog.architectures import ARCHITECTURES
from webapp.catalog.locations import is_anywhere, is_builtin, kept_location
from webapp.catalog.manifests import compare_manifest, is_here, keep_manifest, take_manifest
from webapp.catalog.models import DiffusionModel, Lora
from webapp.catalog.vocabulary_services import describe_vocabulary, refresh_vocabulary
from webapp.core.digits import whole_argument
from webapp.core.errors import DarkroomError
from webapp.operations.model_files import (
    LORA,
    MODELS,
    Said,
    inspect_file,
    inspect_files,
    json_lines,
    table,
)
from webapp.operations.model_memory import model_memory
from webapp.operations.worker_modules import ask_worker, stream_worker

BAR_WIDTH = 30


class Command(BaseCommand):
    """Lists, adds, finds, downloads, enables and disables models."""

    help = (
        "Manages the models on offer: list, add, scan, inspect, check, download, enable, disable."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True)
        commands.add_parser("list", help="every model, where it is and whether it is enabled")
        add = commands.add_parser("add", help="add a folder, a .safetensors file or a hub id")
        add.add_argument("location", help="folder in diffusers format, file, or owner/name")
        add.add_argument("--slug", default="", help="short name for URLs and queues")
        add.add_argument("--name", default="", help="name that people see")
        add.add_argument("--family", default="", choices=["", *ARCHITECTURES])
        add.add_argument("--size", type=whole_argument, default=0, help="usual side in pixels")
        add.add_argument("--steps", type=whole_argument, default=0, help="usual number of steps")
        add.add_argument("--enable", action="store_true", help="offer it at once")
        add.add_argument("--default", action="store_true", help="make it the default")
        for action in ("enable", "disable"):
            switch = commands.add_parser(action, help=f"{action} a model")
            switch.add_argument("slug")
            if action == "enable":
                switch.add_argument("--default", action="store_true", help="make it the default")
        download = commands.add_parser("download", help="download a hub model, on purpose")
        download.add_argument("slug")
        download.add_argument("--yes", action="store_true", help="I have read the licence")
        scan = commands.add_parser("scan", help="add every model that lies below a folder")
        scan.add_argument("folder", nargs="?", default="")
        look = commands.add_parser("inspect", help="say what files and folders are, from headers")
        look.add_argument("paths", nargs="+", type=Path)
        look.add_argument("--json", action="store_true", help="a line of JSON for each")
        look.add_argument(
            "--sha256", action="store_true", help="read each file whole, for its hash"
        )
        check = commands.add_parser("check", help="compare this host's files with what was added")
        check.add_argument("slug", nargs="?", default="", help="of one model; otherwise of all")
        check.add_argument("--accept", action="store_true", help="from now on these are its files")

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs the sub-command. Raises CommandError with one sentence, which ends the command with
        status 1."""
        try:
            getattr(self, f"run_{options['action']}")(**options)
        except DarkroomError as error:
            raise CommandError(error.sentence) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error

    def run_list(self, **options: Any) -> None:
        """Prints a line for each model: on or off, the default's star, slug, family and where it
        is."""
        for model in DiffusionModel.objects.all():
            state = "on " if model.enabled and model.is_installed else "off"
            here = model.path or f"not downloaded: {model.location} ({model.licence})"
            here += "" if is_anywhere(model.kept_at) else " (must be there on every host)"
            star = "*" if model.is_default else " "
            self.stdout.write(f"{state} {star} {model.slug:24} {model.family:5} {here}")
        for lora in Lora.objects.all():
            state = "on " if lora.enabled else "off"
            self.stdout.write(f"{state}   {lora.slug:24} {lora.family:5} LoRA {lora.path}")

    def run_add(self, **options: Any) -> None:
        """Adds a folder or file, and offers it if asked to; what is no path is taken for a hub id.
        Raises CommandError if the worker cannot use it."""
        path = Path(options["location"]).expanduser()
        if not path.exists():
            self.add_hub_model(**options)
            return
        found = inspect_file(path)
        if found["kind"] == LORA:
            self.add_lora(path, found, **options)
            return
        model = services.add_local_model(
            path=path,
            found=found,
            slug=options["slug"],
            name=options["name"],
            family=options["family"],
            side_px=options["size"],
            steps=options["steps"],
        )
        self.stdout.write(f"Added {model.slug} ({model.get_family_display()}).")
        if not is_anywhere(model.location):
            self.stdout.write(
                f"It lies outside of {settings.MODELS_ROOT} (DARKROOM_MODELS): only hosts that have"
                f" it at {model.location} can draw with it."
            )
        if model.vocabulary_digest:
            self.stdout.write(describe_vocabulary(model))
        if options["enable"] or options["default"]:
            self.run_enable(slug=model.slug, default=options["default"])

    def add_lora(self, path: Path, found: Said, **options: Any) -> None:
        """A row for a LoRA, on offer if asked to."""
        lora = loras.add_lora(path=path, found=found, slug=options["slug"], name=options["name"])
        self.stdout.write(f"Added the LoRA {lora.slug} ({lora.get_family_display()}).")
        if options["enable"]:
            self.offer_lora(slug=lora.slug, offered=True)

    def offer_lora(self, *, slug: str, offered: bool) -> None:
        """Offers a LoRA, or takes it off the offer, and says what a prompt says to have it."""
        lora = loras.offer_lora(slug=slug, offered=offered)
        state = f"on offer: {lora.tag}" if offered else "disabled"
        self.stdout.write(f"The LoRA {lora.name} is {state}.")

    def add_hub_model(self, **options: Any) -> None:
        """A row for a hub id; nothing is downloaded yet."""
        model = services.add_hub_model(
            hub_id=options["location"],
            slug=options["slug"],
            name=options["name"],
            family=options["family"],
            side_px=options["size"],
            steps=options["steps"],
        )
        self.stdout.write(
            f"Listed {model.slug}; get it with: manage.py models download {model.slug}"
        )

    def run_enable(self, *, slug: str, default: bool = False, **options: Any) -> None:
        """Offers a model whose files are here, and prints what memory it needs if workers say
        so; or a LoRA, if no model has that slug."""
        if is_lora(slug):
            self.offer_lora(slug=slug, offered=True)
            return
        model = services.enable_model(slug=slug, default=default)
        self.stdout.write(f"{model.name} is on offer{' as the default' if default else ''}.")
        memory = model_memory(model=model)
        if memory is not None:
            self.stdout.write(memory.sentence)

    def run_disable(self, *, slug: str, **options: Any) -> None:
        """Takes a model or a LoRA off the offer; what is queued for it is still drawn."""
        if is_lora(slug):
            self.offer_lora(slug=slug, offered=False)
            return
        self.stdout.write(f"{services.disable_model(slug=slug).name} is disabled.")

    def run_download(self, *, slug: str, yes: bool, **options: Any) -> None:
        """Shows licence and size, asks, downloads with a progress bar, writes where it lies. Raises
        CommandError if the licence is not accepted, or the worker cannot fetch it."""
        model = services.get_hub_model(slug=slug)
        wanted = ("--revision", model.revision) if model.revision else ()
        facts = ask_worker("download", "describe", model.location, *wanted)
        gigabytes = facts["bytes_total"] / 1e9
        self.stdout.write(f"{model.name}: {model.location}, {gigabytes:.1f} GB")
        self.stdout.write(f"Licence: {facts.get('licence') or model.licence}")
        if not yes and input("Do you accept the licence and download it? [y/N] ").lower() != "y":
            raise CommandError("Nothing was downloaded.")
        target = Path(settings.MODELS_ROOT) / model.slug
        # The commit whose licence and size were shown is the one that is fetched.
        pinned = ("--revision", facts["revision"], "--into", str(target))
        for line in stream_worker("download", "fetch", model.location, *pinned):
            self.show_progress(line)
        model = services.mark_downloaded(slug=slug, path=target, revision=facts["revision"])
        if model.vocabulary_problem:
            self.stdout.write(f"\n{model.vocabulary_problem}")
        self.stdout.write(f"\nIt lies in {target}. Offer it: manage.py models enable {slug}")

    def show_progress(self, line: dict[str, Any]) -> None:
        """One redrawn line: a bar and a percentage."""
        if not line.get("bytes_total"):
            return
        share = line["bytes_done"] / line["bytes_total"]
        bar = "#" * int(share * BAR_WIDTH)
        self.stdout.write(f"\r[{bar:{BAR_WIDTH}}] {share:6.1%}", ending="")
        self.stdout.flush()

    def run_inspect(self, *, paths: list[Path], **options: Any) -> None:
        """Prints what each file or folder is, also of those below a folder that is no model; needs
        no database. Raises CommandError if a path is not there."""
        for path in paths:
            if not path.exists():
                raise CommandError(f"There is nothing at {path}.")
        said = inspect_files(paths, walk=True, with_digest=options["sha256"])
        for line in (json_lines if options["json"] else table)(said):
            self.stdout.write(line)

    def run_scan(self, *, folder: str, **options: Any) -> None:
        """Adds what is new below the folder, and reads the vocabulary, and keeps the place, of what
        is known already; what cannot be used is printed with its reason. Raises CommandError if it
        is no folder."""
        root = Path(folder or settings.MODELS_ROOT)
        if not root.is_dir():
            raise CommandError(f"{root} is not a folder.")
        for said in inspect_files([root], walk=True):
            self.scan_one(Path(said["path"]), said)

    def scan_one(self, path: Path, said: Said) -> None:
        """Adds it, or says in a line why not."""
        try:
            if said["kind"] == LORA and said["usable"]:
                slug = loras.add_lora(path=path, found=said).slug
                self.stdout.write(f"added the LoRA {slug} from {path}; enable it when you like")
                return
            refuse_for_scan(path, said)
            slug = services.free_slug(title=said["title"], path=path)
            model = services.add_local_model(path=path, found=said, slug=slug)
        except (CommandError, DarkroomError, OSError) as error:
            self.stdout.write(f"left out {path}: {error}")
            self.look_again(path)
        except ValidationError as error:
            self.stdout.write(f"left out {path}: {' '.join(error.messages)}")
        else:
            self.stdout.write(f"added {model.slug} from {path}; enable it when you like")

    def look_again(self, path: Path) -> None:
        """Says what changed, if a model of the catalog lies there."""
        model = services.find_model_at(path)
        if model is None:
            return
        if services.keep_location_anew(model=model, path=path):
            self.stdout.write(f"{model.name} is kept as {kept_location(path)} from now on.")
        if said := refresh_vocabulary(model=services.get_model(slug=model.slug)):
            self.stdout.write(said)

    def run_check(self, *, slug: str, accept: bool, **options: Any) -> None:
        """Says of each model whether its files on this host are those that were added; with
        `accept` they are from now on, and every other host must have the same. Raises CommandError
        if they differ, or are to be accepted and are not here."""
        if accept and not slug:
            raise CommandError("Name the model whose files are to be accepted.")
        models = [services.get_model(slug=slug)] if slug else DiffusionModel.objects.all()
        differing = [model.slug for model in models if not self.check_files(model, accept=accept)]
        if differing:
            raise CommandError(f"Other files than were added: {', '.join(differing)}.")

    def check_files(self, model: DiffusionModel, *, accept: bool) -> bool:
        """False if the files are others than were added."""
        if is_builtin(model.location):
            self.stdout.write(f"{model.slug}: comes with Darkroom, as this version has it")
            return True
        if not is_here(model):
            if accept:
                raise CommandError(f"The files of {model.slug} are not on this host.")
            self.stdout.write(f"{model.slug}: not on this host")
            return True
        manifest = take_manifest(Path(model.path))
        if accept:
            keep_manifest(model=model, manifest=manifest)
        others = compare_manifest(model=model, manifest=manifest)
        self.stdout.write(f"{model.slug}: {', '.join(others) or 'the same'}")
        return not others


def is_lora(slug: str) -> bool:
    """Whether a LoRA is called so, and no model."""
    is_model = DiffusionModel.objects.filter(slug=slug).exists()
    return not is_model and Lora.objects.filter(slug=slug).exists()


def refuse_for_scan(path: Path, said: Said) -> None:
    """Raises CommandError with the reason if no model of its own is to be made of it."""
    if not said["usable"] or said["kind"] not in MODELS:
        raise CommandError(said["sentence"])
    if "same_as" in said:
        raise CommandError(f"It holds the same files as {said['same_as']}.")
    known = services.find_model_at(path)
    if known is None and (same := services.find_same_files(take_manifest(path))):
        raise CommandError(f"It holds the same files as the model {same.slug}.")
