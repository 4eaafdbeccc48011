"""The configuration of a run: read, checked against its schema, defaults filled in.

The schema is ``run.schema.json`` beside this module; the example that a user starts from is
``example.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from nmc_framework.pipeline.yaml_document import (
    MAX_BYTES,
    ConfigurationError,
    Document,
    Place,
    path_text,
    read_document,
)

Values = Mapping[str, Any]

#: Of each group at most one may be given, and of the first exactly one.
_EITHER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("source", ("scene", "videos", "folder")),
    ("cameras", ("file", "sfm")),
    (
        "training",
        ("exclude_layers", "exclude_front", "exclude_back", "exclude_like", "exclude_auto"),
    ),
    ("render", ("track", "spline")),
)


@dataclass(frozen=True)
class Configuration:
    """What a run is to do.

    ``values`` are all options, defaults filled in; ``files`` the paths among them, by place, made
    absolute; ``work`` the folder for everything that the steps make.
    """

    label: str
    work: Path
    values: Values
    files: Mapping[str, Path]

    def section(self, name: str) -> Values:
        """Return the options of a section; none where it was left out."""
        found: Values = self.values.get(name) or {}
        return found

    def has(self, name: str) -> bool:
        """Whether a section is there."""
        return self.values.get(name) is not None

    def file(self, place: str) -> Path | None:
        """Return the path given at ``place``, such as ``cameras.file``."""
        return self.files.get(place)

    def files_of(self, section: str) -> dict[str, Path]:
        """Return the paths of a section by place, in their order."""
        found = {
            place: path for place, path in self.files.items() if place.startswith(f"{section}.")
        }
        return found | (_beside(self.file("cameras.file")) if section == "cameras" else {})

    def lasting(self, section: str) -> Any:
        """Return the options that results depend on: without silent ones, files by name alone."""
        if not self.has(section):
            return None
        return _lasting(self.values[section], _schema()["properties"][section])


def _beside(cameras: Path | None) -> dict[str, Path]:
    """Return what is read with a camera file without being named."""
    from nmc_framework.capture.points import cloud_beside
    from nmc_framework.capture.tested import file_beside

    if cameras is None:
        return {}
    found = (cloud_beside(cameras), file_beside(cameras))
    return {f"beside cameras.file: {path.name}": path for path in found if path is not None}


def example() -> str:
    """Return the commented example configuration."""
    return (resources.files(__package__) / "example.yaml").read_text(encoding="utf-8")


def read_configuration(path: Path) -> Configuration:
    """Read a configuration file.

    Raises
    ------
    ConfigurationError
        When it is none, an option is unknown or out of its range, options contradict one another,
        or a file that it names is not there; the line is named, and what is allowed.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    schema = _schema()
    document = read_document(data, path.name)
    document = replace(document, values=_opened(document.values, schema))
    _check(document, schema)
    _check_choices(document)
    values = _with_defaults(document.values, schema)
    folder = path.resolve().parent
    files = {}
    for place, text in _paths(values, schema, ()):
        found = folder / Path(text).expanduser()
        if not found.exists():
            raise ConfigurationError(f"{document.where(place)}: there is no {text}")
        files[path_text(place)] = found
    return Configuration(path.name, folder / values["work"], values, files)


@cache
def _schema() -> dict[str, Any]:
    text = (resources.files(__package__) / "run.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _check(document: Document, schema: Values) -> None:
    import jsonschema

    found = list(jsonschema.Draft202012Validator(schema).iter_errors(document.values))
    if not found:
        return
    # From the top of the file, as people read it.
    errors = sorted(found, key=lambda error: (_line(document, error), list(map(str, error.path))))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise ConfigurationError(f"{_told(document, errors[0])}{more}")


def _line(document: Document, error: Any) -> int:
    return document.lines.get(tuple(error.absolute_path), 0)


def _told(document: Document, error: Any) -> str:
    """Return where an error is, what is there and what is allowed."""
    place: Place = tuple(error.absolute_path)
    allowed, value = error.validator_value, error.instance
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema["properties"])
            unknown = min(set(value) - set(known))
            where = document.where((*place, unknown))
            return f"{where} is unknown; allowed are {', '.join(known)}"
        case "required":
            missing = next(name for name in allowed if name not in value)
            return f"{document.where(place)}: {missing!r} is missing"
        case "type":
            names = {"object": "a mapping", "array": "a list", "string": "a text"}
            names |= {"integer": "a whole number", "number": "a number"}
            names |= {"boolean": "true or false"}
            kinds = [allowed] if isinstance(allowed, str) else allowed
            told = f"expected {' or '.join(names.get(kind, kind) for kind in kinds)}"
            if kinds == ["string"] and isinstance(value, int | float):
                told += ": write it in quotes, with all its zeros"
        case "enum":
            told = f"allowed are {', '.join(map(str, allowed))}"
        case "minimum":
            told = f"at least {allowed}"
        case "exclusiveMinimum":
            told = f"more than {allowed}"
        case "maximum":
            told = f"at most {allowed}"
        case "exclusiveMaximum":
            told = f"less than {allowed}"
        case "pattern":
            told = f"write such as {error.schema['examples'][0]}"
        case "minItems" | "minLength":
            told = "it may not be empty"
        case "uniqueItems":
            told = "an entry is there twice"
        case _:
            told = str(error.message)
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"{document.where(place)} is {shown}; {told}"


def _check_choices(document: Document) -> None:
    values = document.values
    for section, names in _EITHER:
        given = [name for name in names if name in (values.get(section) or {})]
        if len(given) > 1:
            where = document.where((section, given[1]))
            raise ConfigurationError(f"{where}: give one of {', '.join(names)}, not {len(given)}")
        if section == "source" and not given:
            where = document.where((section,))
            raise ConfigurationError(f"{where}: give one of {', '.join(names)}")
    scene = "scene" in values["source"]
    cameras = values.get("cameras") or {}
    if not scene and not {"file", "sfm"} & set(cameras):
        where = document.where(("cameras",))
        raise ConfigurationError(f"{where}: footage needs cameras: give one of file, sfm")
    if "format" in cameras and "file" not in cameras:
        where = document.where(("cameras", "format"))
        raise ConfigurationError(f"{where} belongs to file, which is not given")
    scored = values.get("evaluate")
    # Every camera can be scored; without that, what is scored was not trained with.
    every = scored is not None and scored.get("all_cameras")
    apart = "file" in cameras and cameras.get("held_out") is None  # perhaps its data set's own
    missing = not scene and not apart and not cameras.get("held_out")
    if scored is not None and not every and missing:
        where = document.where(("evaluate",))
        raise ConfigurationError(f"{where} needs cameras to test with: cameras.held_out")
    anchored = (values.get("render") or {}).get("anchor")
    if anchored is not None and "track" not in values["render"]:
        where = document.where(("render", "anchor"))
        raise ConfigurationError(f"{where} moves a head trace, but track is not given")


def _opened(values: Any, schema: Values) -> Any:
    """Return mappings for the sections that are named and left empty, which YAML takes for null."""
    if values is None and schema.get("type") == "object":
        return {}
    if not isinstance(values, dict):
        return values
    known = schema.get("properties", {})
    return {name: _opened(value, known.get(name, {})) for name, value in values.items()}


def _with_defaults(values: Any, schema: Values) -> Any:
    if not isinstance(values, dict) or "properties" not in schema:
        return values
    found = dict(values)
    for name, inner in schema["properties"].items():
        if name not in found and "default" in inner:
            found[name] = inner["default"]
        if name in found:
            found[name] = _with_defaults(found[name], inner)
    return found


def _paths(values: Any, schema: Values, place: Place) -> Iterator[tuple[Place, str]]:
    if schema.get("path"):
        yield place, values
    elif isinstance(values, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in values:
                yield from _paths(values[name], inner, (*place, name))
    elif isinstance(values, list) and "items" in schema:
        for k, item in enumerate(values):
            yield from _paths(item, schema["items"], (*place, k))


def _lasting(values: Any, schema: Values) -> Any:
    if schema.get("path"):
        return Path(values).name
    if isinstance(values, dict) and "properties" in schema:
        known: Values = schema["properties"]
        return {
            name: _lasting(value, known[name])
            for name, value in sorted(values.items())
            if not known[name].get("silent")
        }
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [_lasting(value, schema.get("items", {})) for value in values]
    return values
