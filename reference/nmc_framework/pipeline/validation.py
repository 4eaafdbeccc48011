"""All that can be known of a configuration before its first step, so that no step fails for it.

Reading a configuration checks it against its schema. What is left needs the framework: families and
their options, layers, devices, names of cameras, tracks, weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

from nmc_framework.device import DeviceError, usable_device
from nmc_framework.pipeline.configuration import Configuration
from nmc_framework.pipeline.yaml_document import ConfigurationError

if TYPE_CHECKING:
    from nmc_framework.models import ChainModel


def validate(configuration: Configuration) -> None:
    """Refuse what no step could carry out.

    Raises
    ------
    ConfigurationError
        With the place in the configuration and what is allowed there.
    """
    checks: tuple[tuple[str, Callable[[Configuration], object]], ...] = (
        ("model", _model),
        ("training", _training),
        ("cameras", _cameras),
        ("render", _render),
        ("evaluate", _evaluate),
    )
    for place, check in checks:
        with _at(configuration, place):
            check(configuration)


@contextmanager
def _at(configuration: Configuration, place: str) -> Iterator[None]:
    """Say which section an error of the framework belongs to."""
    try:
        yield
    except ConfigurationError:
        raise
    except (ValueError, RuntimeError) as error:
        if not type(error).__module__.startswith("nmc_framework."):
            raise
        raise ConfigurationError(f"{configuration.label}: {place}: {error}") from error


def _model(configuration: Configuration) -> ChainModel:
    """Build the model with its own bounds: these alone are not known yet."""
    from nmc_framework.models import ModelError, build
    from nmc_framework.models.dynamic import GroupModel
    from nmc_framework.models.views import shown

    options = configuration.section("model")
    model = shown(build(options["family"], options["configuration"]))
    if isinstance(model, GroupModel):
        reason = f"a {model.family} model is one of a group of frames: train it with 'nmc train'"
        raise ModelError(reason)
    return model


def _training(configuration: Configuration) -> None:
    from nmc_framework.pipeline.chain_steps import planned
    from nmc_framework.training import freeze

    _device(configuration, "training")
    model = _model(configuration)
    schedule = planned(configuration.section("training"), model)
    freeze(model, model.layers(), schedule.exclude_layers, schedule.reading)
    if schedule.rate:
        _rate(configuration, schedule.rate.key_every)


def _rate(configuration: Configuration, renew_every: int) -> None:
    package = configuration.section("package")
    if package["profile"] == "baseline":
        raise ConfigurationError(
            f"{configuration.label}: package.profile is 'baseline', in which no tensor lies on a "
            "grid: it cannot hold a chain that is trained for rate"
        )
    if package["key_every"] != renew_every:
        raise ConfigurationError(
            f"{configuration.label}: training.renew_every is {renew_every} and package.key_every "
            f"{package['key_every']}: a chain trained for rate is renewed in its key frames"
        )


def _cameras(configuration: Configuration) -> None:
    from nmc_framework.cameras.formats import camera_files
    from nmc_framework.pipeline.footage_steps import camera_names

    options = configuration.section("cameras")
    chosen = options.get("format")
    if chosen is not None and chosen not in camera_files.formats():
        raise ConfigurationError(
            f"{configuration.label}: cameras.format is {chosen!r}; "
            f"allowed are {', '.join(camera_files.formats())}"
        )
    if "sfm" in options:
        _structure_from_motion(configuration)
    names = camera_names(configuration)
    held_out = list(options.get("held_out") or ())
    _known(configuration, "cameras.held_out", held_out, names)
    if len(set(names) - set(held_out)) == 0:
        raise ConfigurationError(
            f"{configuration.label}: cameras.held_out names all cameras; none is left to train with"
        )
    reference = configuration.section("source").get("reference")
    _known(configuration, "source.reference", [reference] if reference else [], names)


def _structure_from_motion(configuration: Configuration) -> None:
    from nmc_framework.pipeline.footage_steps import sfm_options

    try:
        import pycolmap  # noqa: F401 - says now what is missing
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{configuration.label}: cameras.sfm needs {error.name}: "
            "pip install 'neural-model-chain[framework]'"
        ) from None
    sfm_options(configuration.section("cameras")["sfm"])


def _render(configuration: Configuration) -> None:
    from nmc_framework.pipeline.footage_steps import camera_names
    from nmc_framework.rendering import TrackSource

    if not configuration.has("render"):
        return
    _device(configuration, "render")
    options = configuration.section("render")
    TrackSource(keys=configuration.file("render.spline")).images(Fraction(1))
    anchor = options.get("anchor")
    _known(configuration, "render.anchor", [anchor] if anchor else [], camera_names(configuration))


def _evaluate(configuration: Configuration) -> None:
    from nmc_framework.pipeline.footage_steps import set_apart

    if not configuration.has("evaluate"):
        return
    _device(configuration, "evaluate")
    scene = configuration.section("source").get("scene")
    named = configuration.section("cameras").get("held_out")
    every = configuration.section("evaluate")["all_cameras"]
    if scene is not None and not every and not (scene["held_out"] if named is None else named):
        raise ConfigurationError(
            f"{configuration.label}: evaluate needs cameras to test with: source.scene.held_out"
        )
    given = scene is not None or named is not None or every
    if not given and not set_apart(configuration):
        raise ConfigurationError(
            f"{configuration.label}: evaluate needs cameras to test with, and cameras.file sets "
            "none apart: cameras.held_out"
        )
    options = configuration.section("evaluate").get("lpips")
    if options is not None:
        from nmc_framework.evaluation.lpips import read_lpips

        files = (configuration.file(f"evaluate.lpips.{name}") for name in ("backbone", "heads"))
        read_lpips(options["net"], *files)


def _device(configuration: Configuration, section: str) -> None:
    try:
        usable_device(configuration.section(section)["device"])
    except DeviceError as error:
        raise ConfigurationError(f"{configuration.label}: {section}.device: {error}") from None


def _known(
    configuration: Configuration, place: str, named: Sequence[str], names: Sequence[str]
) -> None:
    unknown = [name for name in named if name not in names]
    if unknown:
        raise ConfigurationError(
            f"{configuration.label}: {place} names {', '.join(unknown)}; "
            f"there are {', '.join(names)}"
        )
