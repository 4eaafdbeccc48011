"""Files have their names once they are whole: what is interrupted leaves what was there before."""

import errno
from pathlib import Path

import numpy as np
import pytest

from nmc_framework.cameras import Camera
from nmc_framework.cameras.formats import RigDocument, camera_files
from nmc_framework.cameras.formats.camera_files import formats
from nmc_framework.cameras.rig_plot import plot_rig
from nmc_framework.capture.points import write_cloud
from nmc_framework.evaluation.chain_plot import ChainPoint, plot_chain
from nmc_framework.evaluation.held_out import write_scores
from nmc_framework.evaluation.score_plot import plot_scores
from nmc_framework.evaluation.training_plot import plot_training
from nmc_framework.rendering import orbit, write_track, write_video
from nmc_framework.whole_files import whole, write_bytes, write_picture, write_text

PIXELS = np.full((16, 16, 3), 90, np.uint8)


def cameras():
    """Return three of them on a circle."""
    track = orbit((0, 0, 0), 3, distance=4.0, azimuths=(0, 60), elevations=(20, 20))
    poses = [viewpoint.camera_to_world() for viewpoint in track]
    return tuple(
        Camera.from_field_of_view(60.0, 64, 48, pose, f"cam{k}") for k, pose in enumerate(poses)
    )


WRITERS = {
    "text": lambda path: write_text(path, "x"),
    "bytes": lambda path: write_bytes(path, b"x"),
    "picture.png": lambda path: write_picture(path, PIXELS),
    "video.mp4": lambda path: write_video(path, [PIXELS], 30),
    "cloud.ply": lambda path: write_cloud(path, np.zeros((2, 3))),
    "track.csv": lambda path: write_track(path, []),
    "scores.csv": lambda path: write_scores(path, []),
    "scores.png": lambda path: plot_scores(path, [], "of nothing"),
    "chain.png": lambda path: plot_chain(path, [ChainPoint(0, 30.0, 9, 5, "key")], "of one"),
    "training.png": lambda path: plot_training(path, [1.0], [0.1], "of one"),
    "rig.png": lambda path: plot_rig(path, cameras(), "three"),
}
WRITERS |= {
    name: lambda path, name=name: camera_files.write(path, RigDocument(cameras()), name)
    for name, chosen in formats().items()
    if chosen.write is not None
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_has_its_name_before_it_is_whole(tmp_path, monkeypatch, name):
    def fails(self, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fails)
        with pytest.raises(OSError, match="No space left"):
            WRITERS[name](tmp_path / name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    WRITERS[name](tmp_path / name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_was_there_stays(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(RuntimeError, match="half way"), whole(path) as partial:
        partial.write_text("af", encoding="utf-8")
        assert partial.suffix == ".txt" and path.read_text(encoding="utf-8") == "before"
        raise RuntimeError("half way")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text(encoding="utf-8") == "before"
