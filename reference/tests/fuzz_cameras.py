"""Camera files of every format, which ``fuzz_inputs`` damages, and what it demands of them."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path

import numpy as np
from fuzz_odd import damage_bytes, damage_structure, damage_text

from nmc_framework.cameras.camera import Camera, CameraError
from nmc_framework.cameras.formats import RigDocument, camera_files, native

SIZE = (64, 48)

_AT = {"R": np.eye(3).tolist(), "T": [0, 0, 1]}
_VOXELPOSE = {"0": {**_AT, "fx": 50, "fy": 50, "cx": 32, "cy": 24}}
_NCORE = {
    "front@1": {
        "camera_model_type": "opencv-pinhole",
        "T_sensor_rig": np.eye(4).tolist(),
        "resolution": list(SIZE),
        "intrinsics": {
            "focal_length": [50, 50],
            "principal_point": [32, 24],
            "radial_coeffs": [0.1, 0, 0, 0, 0, 0],
            "tangential_coeffs": [0, 0],
        },
    }
}
_CALISCOPE = """[cam_0]
cam_id = 0
size = [64, 48]
matrix = [[50.0, 0.0, 32.0], [0.0, 50.0, 24.0], [0.0, 0.0, 1.0]]
distortions = [0.1, 0.0, 0.0, 0.0, 0.0]
rotation = [0.0, 0.0, 0.0]
translation = [0.0, 0.0, 1.0]
"""


def _rig() -> RigDocument:
    cameras = []
    for index in range(3):
        pose = np.eye(4)
        pose[:3, 3] = (index, 0.5, -2)
        cameras.append(Camera(50.0, 50.0, 32.0, 24.0, *SIZE, pose, f"cam{index:02d}"))
    return RigDocument(tuple(cameras), depths=np.tile((0.5, 9.0), (3, 1)))


def sources(folder: Path) -> list[Path]:
    """Write three cameras in each format that can be written, and one in each other."""
    for name, known in camera_files.OWN.items():
        place = folder / name
        if known.write is None:
            place.mkdir()
            continue
        suffix = Path(known.files).suffix or ".json"
        target = place if known.several_files else place / f"rig{suffix}"
        target.parent.mkdir(exist_ok=True)
        camera_files.write(target, _rig(), name)
    (folder / "voxelpose" / "rig.json").write_text(json.dumps(_VOXELPOSE))
    (folder / "ncore" / "rig.json").write_text(json.dumps(_NCORE))
    (folder / "caliscope" / "rig.toml").write_text(_CALISCOPE)
    return sorted(folder.iterdir())


def judge(rng: random.Random, source: Path, folder: Path) -> str:
    """Read cameras of which one file was damaged: whole ones, or a refusal."""
    place = folder / source.name
    shutil.copytree(source, place)
    files = sorted(path for path in place.rglob("*") if path.is_file())
    for victim in {rng.choice(files) for _ in range(rng.choice([1, 1, 2]))}:
        damage = rng.choice([damage_bytes, damage_structure, damage_text])
        victim.write_bytes(damage(rng, victim.read_bytes()))
    single = len(files) == 1 and not camera_files.OWN[source.name].several_files
    path = files[0] if single else place
    named = rng.choice([source.name, None])
    try:
        document = camera_files.read(path, named, SIZE)
    except CameraError:
        return f"cameras {source.name} refused"
    if not document.cameras:
        raise AssertionError("no camera, and no refusal")
    for camera in document.cameras:
        numbers = (camera.fx, camera.fy, camera.cx, camera.cy)
        assert all(math.isfinite(float(number)) for number in numbers), numbers
        assert type(camera.width) is int and type(camera.height) is int
        assert isinstance(camera.name, str)
        camera.name.encode()
    native.write(folder / "again.json", document)
    again = camera_files.read(folder / "again.json")
    assert [camera.as_json() for camera in again.cameras] == [
        camera.as_json() for camera in document.cameras
    ]
    return f"cameras {source.name} read"
