"""The JSON Schemas are valid, and the JSON view of a manifest is what they say."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import nmc_spec
from nmc_format.issues import finding
from nmc_format.json_view import json_view
from nmc_format.manifest.objects import text_scalar
from nmc_format.manifest.read import parse_manifest
from nmc_format.manifest.write import write_manifest
from nmc_format.report import Report

SCHEMAS = {name: dict(nmc_spec.schema(name)) for name in nmc_spec.schema_names()}
REGISTRY = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()]
)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_schemas(name) -> None:
    schema = SCHEMAS[name]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith(f"/{name}.schema.json")
    Draft202012Validator.check_schema(schema)


def test_an_unknown_schema_is_named() -> None:
    with pytest.raises(KeyError, match="inspect, presentation, report"):
        nmc_spec.schema("nothing")


def view_of(tmp_path, objects) -> dict:
    path = tmp_path / "m.h5"
    write_manifest(path, objects)
    manifest, findings = parse_manifest(path.read_bytes(), path)
    assert findings == []
    return json_view(manifest)


def minimal(objects: dict) -> dict:
    required = {p for p, column in nmc_spec.manifest_layout().items() if column.required}
    return {p: a for p, a in objects.items() if p in required}


@pytest.mark.parametrize("change", [dict, minimal], ids=["full", "minimal"])
def test_the_view_follows_the_schema(tmp_path, objects_of, change) -> None:
    view = view_of(tmp_path, change(objects_of(3)))
    validator("inspect").validate(view)
    json.dumps(view, allow_nan=False)


def test_what_the_view_says(tmp_path, objects_of) -> None:
    view = view_of(tmp_path, objects_of(3))
    assert view["model"]["parameters"] == ["fc.weight", "fc.bias"]
    assert view["model"]["configuration"] == {"width": 3}
    assert [t["layer"] for t in view["model"]["tensors"]] == [0, 0, None]
    assert [t["shape"] for t in view["model"]["tensors"]] == [[2, 3], [2], []]
    frame = view["frames"][1]
    assert frame["segment"]["name"] == "segments/00000001.safetensors"
    assert frame["requires_grad"] == [True, True]
    assert frame["exclude_layers"] == []
    assert frame["trained_from"] == 0
    assert view["frames"][0]["trained_from"] is None
    assert view["quality"]["psnr"][1] == [None]
    assert view["cameras"]["name"] == ["left", "오른쪽"]


def test_unknown_values_are_null(tmp_path, objects_of) -> None:
    objects = objects_of(2)
    objects["/training/iterations"][:] = -1
    objects["/training/seconds"][:] = -1
    objects["/training/requires_grad_known"][0] = 0
    objects["/training/requires_grad"][0] = 0
    objects["/training/exclude_layers_count"][0] = -1
    view = view_of(tmp_path, objects)
    validator("inspect").validate(view)
    frame = view["frames"][0]
    assert [frame[k] for k in ("iterations", "seconds", "requires_grad", "exclude_layers")] == [
        None
    ] * 4


def test_numbers_beyond_binary64_in_a_configuration_are_null(tmp_path, objects_of) -> None:
    objects = objects_of(2) | {"/model@configuration": text_scalar('{"x": [1e999, {"y": -1e999}]}')}
    view = view_of(tmp_path, objects)
    assert view["model"]["configuration"] == {"x": [None, {"y": None}]}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda v: v.update(format="x"), "format"),
        (lambda v: v.update(more=1), ""),
        (lambda v: v.pop("frames"), ""),
        (lambda v: v["frames"][0].update(requires_grad=[1, 0]), "requires_grad"),
        (lambda v: v["frames"][0].update(exclude_layers=[0, 0]), "exclude_layers"),
        (lambda v: v["frames"][0].update(exclude_layers=[-1]), "exclude_layers"),
        (lambda v: v["frames"][0].update(exclude_layers=["0"]), "exclude_layers"),
        (lambda v: v["model"].update(parameters=[1]), "parameters"),
        (lambda v: v["frames"][0].update(state_digest="00"), "state_digest"),
        (lambda v: v["model"]["tensors"][0].update(dtype="F5"), "dtype"),
    ],
)
def test_the_schema_refuses_what_is_wrong(tmp_path, objects_of, change, where) -> None:
    view = view_of(tmp_path, objects_of(2))
    change(view)
    errors = list(validator("inspect").iter_errors(view))
    assert errors
    assert where in "/".join(map(str, errors[0].absolute_path))


def test_a_report_follows_its_schema() -> None:
    findings = (
        finding("manifest/digest", pointer="/@manifest_digest"),
        finding("host/not-found", file="x"),
        finding("segment/misplaced", file="x", offset=0, other=3),
    )
    report = Report("x.nmc", 3, 1, findings).to_json()
    validator("report").validate(report)
    assert report["accepted"] is False
    assert report["findings"][0]["place"] == {"pointer": "/@manifest_digest"}
    report["findings"][0]["place"] = {"pointer": "/a", "file": "x", "offset": None}
    assert list(validator("report").iter_errors(report))


def test_the_data_of_the_standard_is_consistent() -> None:
    for column in nmc_spec.manifest_layout().values():
        assert column.type in {"str", "u1", "u4", "u8", "i4", "i8", "f8"}
    bounds = [
        (level.max_tensors, level.max_state_bytes, level.max_group_frames, level.max_frames)
        for level in nmc_spec.levels()
    ]
    assert all(np.all(np.array(a) <= np.array(b)) for a, b in pairwise(bounds))
    assert [level.level for level in nmc_spec.levels()] == [1, 2, 3, 4]
    assert set(nmc_spec.profiles()["baseline"].codings) <= set(nmc_spec.profiles()["main"].codings)
