"""Agisoft Metashape's camera XML and RealityCapture's CSV of internal and external parameters.

Metashape: camera-to-world with OpenCV axes; the principal point counts from the image centre; its
P1 and P2 are OpenCV's p2 and p1 (Metashape manual, appendix "Camera models"). RealityCapture: focal
length for a 36 mm wide frame; heading turns clockwise; as nerfstudio's ``realitycapture_utils.py``
reads it, except for the principal point, which scales with the longer side like the focal length.
"""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from nmc_framework.cameras.camera import Camera, FloatArray
from nmc_framework.cameras.formats.format import Format, has_suffix, plain, sized
from nmc_framework.cameras.formats.rig_document import (
    OPENGL,
    ConversionError,
    Lens,
    RigDocument,
    Similarity,
    brown,
    brown_coefficients,
)

_FILM_WIDTH = 36.0

_CAPTURE_COLUMNS = (
    "#name", "x", "y", "alt", "heading", "pitch", "roll", "f", "px", "py",
    "k1", "k2", "k3", "k4", "t1", "t2",
)  # fmt: skip


def read_metashape(path: Path) -> RigDocument:
    """Read the aligned cameras of the first chunk; its transform is applied and recorded.

    Raises
    ------
    ConversionError
        When the file has a document type, a lens has skew or a p3, or no camera is aligned.
    """
    text = path.read_text(encoding="utf-8")
    if "<!DOCTYPE" in text:
        raise ConversionError(f"{path.name}: a document type is not accepted")
    # Entities need a document type, and there is none: nothing can be expanded or fetched.
    chunk = Xml.fromstring(text).find("chunk")  # noqa: S314
    if chunk is None:
        raise ConversionError(f"{path.name}: it has no chunk")
    sensors = {s.get("id"): s for s in chunk.iterfind("sensors/sensor")}
    cameras, lenses = [], []
    for node in chunk.iter("camera"):
        transform = node.findtext("transform")
        if transform is None:
            continue
        sensor = sensors.get(node.get("sensor_id"))
        if sensor is None:
            raise ConversionError(f"{path.name}: camera {node.get('label')!r} names no sensor")
        pose = np.array([float(v) for v in transform.split()]).reshape(4, 4)
        camera, lens = _metashape_camera(sensor, pose, node.get("label") or "", path)
        cameras.append(camera)
        lenses.append(lens)
    if not cameras:
        raise ConversionError(f"{path.name}: no camera is aligned")
    document = RigDocument(tuple(cameras), tuple(lenses))
    placed = chunk.find("components/component/transform")
    placed = chunk.find("transform") if placed is None else placed
    return document if placed is None else document.normalised(_placement(placed))


def write_metashape(path: Path, document: RigDocument) -> None:
    """Write one sensor a camera; the normalisation becomes the chunk's transform."""
    source = document.in_source_units()
    root = Xml.Element("document", version="1.5.0")
    chunk = Xml.SubElement(root, "chunk", label="chunk", enabled="true")
    sensors, cameras = Xml.SubElement(chunk, "sensors"), Xml.SubElement(chunk, "cameras")
    for index, (camera, lens) in enumerate(zip(source.cameras, source.lenses, strict=True)):
        bent = brown_coefficients(camera, lens, "Metashape's frame camera")
        sensor = Xml.SubElement(sensors, "sensor", id=str(index), type="frame")
        size = {"width": str(camera.width), "height": str(camera.height)}
        Xml.SubElement(sensor, "resolution", size)
        calibration = Xml.SubElement(sensor, "calibration", type="frame")
        values = {
            "f": camera.fy,
            "cx": camera.cx - camera.width / 2,
            "cy": camera.cy - camera.height / 2,
            "b1": camera.fx - camera.fy,
            **{name: bent[name] for name in ("k1", "k2", "k3", "k4")},
            "p1": bent["p2"],
            "p2": bent["p1"],
        }
        for name, value in values.items():
            Xml.SubElement(calibration, name).text = repr(float(value))
        members = {"id": str(index), "sensor_id": str(index), "label": camera.name}
        node = Xml.SubElement(cameras, "camera", members)
        numbers = (repr(float(v)) for v in camera.camera_to_world.ravel())
        Xml.SubElement(node, "transform").text = " ".join(numbers)
    n = document.normalisation
    placed = Xml.SubElement(chunk, "transform")
    for name, array in (("rotation", n.rotation), ("translation", n.translation)):
        Xml.SubElement(placed, name).text = " ".join(repr(float(v)) for v in array.ravel())
    Xml.SubElement(placed, "scale").text = repr(float(n.scale))
    path.write_text(Xml.tostring(root, encoding="unicode") + "\n", encoding="utf-8")


def read_reality_capture(path: Path, size: tuple[int, int]) -> RigDocument:
    """Read the CSV; ``size`` (width, height) in pixels is not in the file."""
    width, height = size
    longer = max(size)
    cameras, lenses = [], []
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = [name for name in _CAPTURE_COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise ConversionError(f"{path.name}: the header lacks {', '.join(missing)}")
        for row in rows:
            v = {name: float(row[name]) for name in _CAPTURE_COLUMNS[1:]}
            pose = np.eye(4)
            pose[:3, :3] = _capture_rotation(v["heading"], v["pitch"], v["roll"])
            pose[:3, 3] = v["x"], v["y"], v["alt"]
            focal = v["f"] * longer / _FILM_WIDTH
            cx, cy = v["px"] * longer + width / 2, v["py"] * longer + height / 2
            cameras.append(Camera(focal, focal, cx, cy, width, height, pose @ OPENGL, row["#name"]))
            lenses.append(brown(v | {"p1": v["t1"], "p2": v["t2"]}))
    return RigDocument(tuple(cameras), tuple(lenses))


def write_reality_capture(path: Path, document: RigDocument) -> None:
    """Write the CSV; pixels that are not square and other lenses are refused by name."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_CAPTURE_COLUMNS)
        for camera, lens in zip(document.cameras, document.lenses, strict=True):
            if camera.fx != camera.fy:
                raise ConversionError(f"RealityCapture has one focal length; {camera.name!r} two")
            bent = brown_coefficients(camera, lens, "RealityCapture")
            longer = max(camera.width, camera.height)
            heading, pitch, roll = _capture_angles((camera.camera_to_world @ OPENGL)[:3, :3])
            px, py = (camera.cx - camera.width / 2), (camera.cy - camera.height / 2)
            numbers = [*camera.centre, heading, pitch, roll, camera.fx * _FILM_WIDTH / longer]
            numbers += [px / longer, py / longer]
            numbers += [bent[name] for name in ("k1", "k2", "k3", "k4", "p1", "p2")]
            writer.writerow([camera.name, *(repr(float(v)) for v in numbers)])


def _metashape_camera(
    sensor: Xml.Element, pose: FloatArray, name: str, path: Path
) -> tuple[Camera, Lens]:
    size, calibration = sensor.find("resolution"), sensor.find("calibration")
    if size is None or calibration is None:
        raise ConversionError(f"{path.name}: the sensor of {name!r} is not calibrated")
    if sensor.get("type", "frame") != "frame":
        raise ConversionError(f"{path.name}: {name!r} is a {sensor.get('type')} camera, not frame")
    v = {child.tag: float(child.text) for child in calibration if child.text and len(child) == 0}
    for absent in ("b2", "p3", "p4"):
        if v.get(absent):
            raise ConversionError(f"{path.name}: {name!r} has {absent}, which has no equal")
    if "f" not in v:
        raise ConversionError(f"{path.name}: the sensor of {name!r} has no focal length f")
    width, height = int(size.get("width", 0)), int(size.get("height", 0))
    cx, cy = v.get("cx", 0.0) + width / 2, v.get("cy", 0.0) + height / 2
    lens = brown(v | {"p1": v.get("p2", 0.0), "p2": v.get("p1", 0.0)})
    return Camera(v["f"] + v.get("b1", 0.0), v["f"], cx, cy, width, height, pose, name), lens


def _placement(node: Xml.Element) -> Similarity:
    def numbers(name: str, default: str) -> FloatArray:
        return np.array([float(v) for v in (node.findtext(name) or default).split()])

    rotation = numbers("rotation", "1 0 0 0 1 0 0 0 1").reshape(3, 3)
    return Similarity(float(numbers("scale", "1")[0]), rotation, numbers("translation", "0 0 0"))


def _capture_rotation(heading: float, pitch: float, roll: float) -> FloatArray:
    """Return Rz(-heading) · Rx(pitch) · Ry(roll): OpenGL camera axes to a world with z up."""
    a, b, c = np.radians([-heading, pitch, roll])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_y = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    product: FloatArray = about_z @ about_x @ about_y
    return product


def _capture_angles(rotation: FloatArray) -> tuple[float, float, float]:
    level = float(np.hypot(rotation[0, 1], rotation[1, 1]))
    pitch = np.arctan2(rotation[2, 1], level)
    if level < 1e-12:
        turn, roll = np.arctan2(rotation[1, 0], rotation[0, 0]), 0.0
    else:
        turn = np.arctan2(-rotation[0, 1], rotation[1, 1])
        roll = np.arctan2(-rotation[2, 0], rotation[2, 2])
    return -float(np.degrees(turn)), float(np.degrees(pitch)), float(np.degrees(roll))


FORMATS = (
    Format("metashape", plain(read_metashape), write_metashape, has_suffix(".xml"), files="*.xml"),
    Format(
        "realitycapture",
        sized(read_reality_capture),
        write_reality_capture,
        has_suffix(".csv"),
        files="*.csv",
    ),
)
