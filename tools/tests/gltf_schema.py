"""What glTF 2.0 and KHR_gaussian_splatting ask of a document, as JSON Schema in our own words.

Of the published schemas it has what a file of one primitive of points can have: names that are not
among theirs are refused, so that one with a wrong letter is seen.
"""

KHR = "KHR_gaussian_splatting"
_INDEX = {"type": "integer", "minimum": 0}
_NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 16}


def _list(item):
    return {"type": "array", "minItems": 1, "items": item}


def _object(required=(), **properties):
    return {
        "type": "object",
        "required": list(required),
        "properties": {**properties, "name": {"type": "string"}, "extras": {}},
        "additionalProperties": False,
    }


_ATTRIBUTES = {
    "type": "object",
    "required": [
        "POSITION",
        *(f"{KHR}:{n}" for n in ("ROTATION", "SCALE", "OPACITY", "SH_DEGREE_0_COEF_0")),
    ],
    "additionalProperties": False,
    "patternProperties": {
        "^(POSITION|COLOR_0)$": _INDEX,
        "^_[A-Z0-9_]+$": _INDEX,  # of an application
        f"^{KHR}:(ROTATION|SCALE|OPACITY)$": _INDEX,
        f"^{KHR}:SH_DEGREE_(0_COEF_0|1_COEF_[0-2]|2_COEF_[0-4]|3_COEF_[0-6])$": _INDEX,
    },
}
_SPLATS = _object(
    ("kernel", "colorSpace"),
    kernel={"enum": ["ellipse"]},
    colorSpace={"enum": ["srgb_rec709_display", "lin_rec709_display"]},
    projection={"enum": ["perspective"]},
    sortingMethod={"enum": ["cameraDistance"]},
    extensions={"type": "object"},
)
_PRIMITIVE = _object(
    ("attributes", "mode", "extensions"),
    attributes=_ATTRIBUTES,
    mode={"const": 0},
    material=_INDEX,
    extensions={"type": "object", "required": [KHR], "properties": {KHR: _SPLATS}},
)
_ACCESSOR = _object(
    ("componentType", "count", "type"),
    bufferView=_INDEX,
    byteOffset=_INDEX,
    componentType={"enum": [5120, 5121, 5122, 5123, 5125, 5126]},
    normalized={"type": "boolean"},
    count={"type": "integer", "minimum": 1},
    type={"enum": ["SCALAR", "VEC2", "VEC3", "VEC4", "MAT2", "MAT3", "MAT4"]},
    min=_NUMBERS,
    max=_NUMBERS,
)
_VIEW = _object(
    ("buffer", "byteLength"),
    buffer=_INDEX,
    byteOffset=_INDEX,
    byteLength={"type": "integer", "minimum": 1},
    byteStride={"type": "integer", "minimum": 4, "maximum": 252, "multipleOf": 4},
    target={"enum": [34962, 34963]},
)
_NODE = _object(
    mesh=_INDEX,
    children=_list(_INDEX),
    rotation={**_NUMBERS, "minItems": 4, "maxItems": 4},
    translation={**_NUMBERS, "minItems": 3, "maxItems": 3},
    scale={**_NUMBERS, "minItems": 3, "maxItems": 3},
    matrix={**_NUMBERS, "minItems": 16},
)
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_object(
        ("asset", "extensionsUsed"),
        asset=_object(
            ("version",),
            version={"const": "2.0"},
            minVersion={"const": "2.0"},
            generator={"type": "string"},
            copyright={"type": "string"},
        ),
        extensionsUsed={**_list({"const": KHR}), "uniqueItems": True},
        extensionsRequired={**_list({"const": KHR}), "uniqueItems": True},
        scene=_INDEX,
        scenes=_list(_object(nodes={**_list(_INDEX), "uniqueItems": True})),
        nodes=_list(_NODE),
        meshes=_list(_object(("primitives",), primitives=_list(_PRIMITIVE))),
        accessors=_list(_ACCESSOR),
        bufferViews=_list(_VIEW),
        buffers=_list(
            _object(
                ("byteLength",),
                byteLength={"type": "integer", "minimum": 1},
                uri={"type": "string"},
            )
        ),
    ),
}
