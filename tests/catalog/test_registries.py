"""What the web says of architectures and samplers, held to what the worker draws."""

import inspect
from dataclasses import replace
from importlib import import_module
from typing import Any

import diffusers
import pytest
from django.apps import apps
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from webapp.catalog import architectures, samplers
from webapp.catalog.models import DiffusionModel
from webapp.catalog.pricing import FREE_PIXELS
from webapp.catalog.schedules import build_schedule
from webapp.generation.models import Generation

drawn: Any = import_module("worker.pipelines.architectures")
drawn_samplers: Any = import_module("worker.pipelines.samplers")
drawing: Any = import_module("worker.pipelines.runner")


def names_of(table: Any) -> dict[str, str]:
    return {slug: sampler.name for slug, sampler in table.items()}


def test_the_web_and_the_worker_know_the_same_samplers_by_the_same_names_in_the_same_order() -> (
    None
):
    for web, worker in (
        (samplers.DIFFUSION_SAMPLERS, drawn_samplers.SAMPLERS),
        (samplers.FLOW_SAMPLERS, drawn_samplers.FLOW_SAMPLERS),
    ):
        assert list(web.items()) == list(names_of(worker).items())
    assert samplers.OWN == drawn_samplers.OWN


def test_the_web_knows_how_each_sampler_spaces_its_times() -> None:
    for slug, drawn_by in drawn_samplers.SAMPLERS.items():
        known, kind = samplers.BY_DIFFUSION[slug], drawn_by.scheduler_class
        switches = ("karras", "exponential", "beta")
        assert known.sigmas == "".join(
            name for name in switches if drawn_by.options.get(f"use_{name}_sigmas")
        )
        assert known.from_all_times == kind.__name__.startswith("DPMSolver"), slug
        assert known.is_solver == (known.from_all_times or slug in {"unipc", "deis"})
        said = inspect.signature(kind.__init__).parameters.get("timestep_spacing")
        # Of single steps and of TCD there is one way, which their files cannot change.
        assert known.spacing == said.default if said else slug == "tcd" or known.is_solver, slug


@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
def test_a_sampler_is_not_offered_for_a_schedule_that_its_scheduler_would_drop() -> None:
    for slug, drawn_by in drawn_samplers.SAMPLERS.items():
        scheduler = drawn_by.scheduler_class.from_config(
            {"rescale_betas_zero_snr": True}, **drawn_by.options
        )
        keeps_it = float(scheduler.alphas_cumprod[-1]) < 1e-6
        assert (slug not in samplers.ZERO_SNR_DROPPED) == keeps_it, slug
        assert drawn_samplers.takes(drawn_by, drawn_samplers.ZERO_SNR) == keeps_it, slug


def test_the_web_and_the_worker_know_the_same_architectures_in_the_same_order() -> None:
    stepped = [slug for slug, each in drawn.ARCHITECTURES.items() if each.is_stepped]
    assert list(architectures.ARCHITECTURES) == list(drawn.ARCHITECTURES)
    assert stepped == list(drawing.ADAPTERS)
    assert list(drawn.ARCHITECTURES) == [*stepped, architectures.OTHER]
    assert drawn.OTHER == architectures.OTHER


def test_the_web_shows_the_times_that_the_worker_sets_against_a_models_files() -> None:
    for slug, each in architectures.ARCHITECTURES.items():
        assert each.steps_offset == drawn.ARCHITECTURES[slug].schedule_settings.get("steps_offset")


def test_the_classes_that_an_architecture_is_recognised_by_are_of_diffusers_and_of_it_alone() -> (
    None
):
    known = [name for each in drawn.ARCHITECTURES.values() for name in each.classes]
    assert len(set(known)) == len(known)
    assert all(issubclass(getattr(diffusers, name), diffusers.DiffusionPipeline) for name in known)


def test_every_architecture_offers_samplers_that_fit_how_it_was_trained() -> None:
    for each in architectures.ARCHITECTURES.values():
        if each.slug == architectures.OTHER:
            assert each.samplers == (samplers.OWN,)
            continue
        schedule = build_schedule(dict(each.schedule))
        assert schedule is not None
        trained_by_flow = schedule.name == "flow"
        fitting = samplers.FLOW_SAMPLERS if trained_by_flow else samplers.DIFFUSION_SAMPLERS
        assert set(each.samplers) <= set(fitting)


def test_an_architecture_begins_with_what_a_generation_may_begin_with() -> None:
    assert set(Generation.Mode.values) == architectures.ALL_MODES
    for each in architectures.ARCHITECTURES.values():
        assert architectures.TEXT in each.modes
        assert each.modes <= architectures.ALL_MODES


def test_what_a_model_begins_with_is_on_its_grid_and_can_be_priced() -> None:
    for each in architectures.ARCHITECTURES.values():
        assert each.side_px % each.grid_px == 0
        assert each.grid_px % 8 == 0
        assert each.side_px**2 > FREE_PIXELS


def wanted_migrations() -> dict[str, Any]:
    """What `makemigrations` would write now."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    now = ProjectState.from_apps(apps)
    return MigrationAutodetector(loader.project_state(), now).changes(graph=loader.graph)


def test_a_new_architecture_or_sampler_asks_for_no_migration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        architectures.ARCHITECTURES,
        "made-up",
        replace(architectures.ARCHITECTURES["sd"], slug="made-up", name="Made up"),
    )
    monkeypatch.setitem(samplers.SAMPLER_NAMES, "made_up", "Made up")
    model = DiffusionModel(family="made-up", sampler="made_up")
    assert (model.get_family_display(), model.get_sampler_display()) == ("Made up", "Made up")
    assert not wanted_migrations()
