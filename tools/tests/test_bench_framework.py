"""The framework's benchmark at toy size: every table, taken up again, and put into a document."""

import json

import pytest
from PIL import Image

from nmc_framework.cameras import write_rig
from nmc_framework.scene import scenes
from nmc_tools.bench_framework import presentation
from nmc_tools.bench_framework.__main__ import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow(minutes=1)
def test_the_framework_benchmark_at_toy_size(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- bench-framework -->\nold\n<!-- /bench-framework -->\nz\n")
    out = tmp_path / "out"
    main(["--quick", "-o", str(out), "--workers", "2", "--into", str(readme)])
    text = (out / "bench-framework.md").read_text()
    assert readme.read_text() == (
        f"a\n<!-- bench-framework -->\n{text}<!-- /bench-framework -->\nz\n"
    )
    tables = {p.stem: json.loads(p.read_text())["figures"] for p in out.glob("*.json")}
    # The long ones are measured only where they are named.
    assert set(tables) == {"scenes", "hash_grid", "sharing", "freezing", "rendering", "memory"}
    assert tables["rendering"]["identical"] is True
    rows = {
        family: {row["name"]: row for row in rows} for family, rows in tables["freezing"].items()
    }
    assert set(rows) == {"hash_grid", "nerf_mlp", "voxel_grid"}
    for found in rows.values():
        assert found["none"]["exclude_layers"] == [] and found["none"]["relative"] == 1
        assert found["front"]["changed_bytes"] < found["none"]["changed_bytes"]
        assert found["front"]["delta_bytes"] < found["none"]["delta_bytes"]
    # Both halves save products, the front more: behind a frozen back gradients still pass.
    mlp = {name: row["operations"] for name, row in rows["nerf_mlp"].items()}
    assert mlp["front"] < mlp["back"] < mlp["none"]
    assert (out / "bench-framework.png").stat().st_size > 5000
    assert "INV (Wang et al. 2023" in text and "Measured on" in text
    # What is measured already is kept, of one table or of all.
    capsys.readouterr()
    (out / "memory.json").unlink()
    main(["--quick", "-o", str(out), "--only", "memory"])
    told = [line for line in capsys.readouterr().err.splitlines() if "progress " not in line]
    assert told == ["measuring memory"]
    with pytest.raises(SystemExit):
        main(["--quick", "-o", str(out), "--only", "speed"])


def test_a_readme_without_marks_is_refused(tmp_path):
    from nmc_tools.bench.published import put_into

    readme = tmp_path / "README.md"
    readme.write_text("nothing here\n")
    with pytest.raises(SystemExit, match="has no marks <!-- bench-framework -->"):
        put_into(readme, "bench-framework", "tables")
    assert readme.read_text() == "nothing here\n"


def test_tables_that_are_missing_are_left_out():
    assert "Weight sharing" not in presentation.markdown({})


def test_photographs_and_the_rooms_time_are_columns():
    row = {"seconds": 1.0, "psnr": 20.0}
    scene = {"cameras": 3, "size": [4, 5], "iterations": [6, 1], "rows": [row, row]}
    scene |= {"rendering": 0.1, "flicker": 0.001, "flicker_alone": 0.002}
    fox = {"name": "fox", "cameras": [43, 7], "size": [270, 480], "iterations": 1400}
    fox |= {"seconds": 150.2, "psnr": 26.31, "psnr_aligned": 27.042}
    tables = {"scenes": {"room": scene, "walk": scene | {"in_time": 18.25}}, "fox": fox}
    lines = presentation.markdown(tables).splitlines()
    (room,) = (line for line in lines if line.startswith("| room"))
    (walk,) = (line for line in lines if line.startswith("| walk"))
    assert room.endswith("| 0.10 |  |") and walk.endswith("| 0.10 | 18.25 |")
    assert "| fox | 43, 270x480 | 7 | 1400 | 150 | 26.31 | 27.04 |" in lines


@pytest.mark.slow
def test_photographs_are_measured_where_they_are_given(tmp_path):
    scene = scenes()["walk"]
    rig, folder = scene.rig((24, 32)), tmp_path / "walk"
    (folder / "images").mkdir(parents=True)
    for camera, image in zip(rig.cameras, scene.view_all(rig.cameras, 0.0), strict=True):
        Image.fromarray(image).save(folder / "images" / f"{camera.name}.png")
    write_rig(folder / "cameras.json", rig.cameras)
    arguments = ["--quick", "-o", str(tmp_path / "out"), "--only", "fox"]
    with pytest.raises(SystemExit):
        main(arguments)
    main([*arguments, "--fox", str(folder)])
    found = json.loads((tmp_path / "out" / "fox.json").read_text())["figures"]
    assert found["cameras"] == [43, 7] and found["size"] == [24, 32]
    assert found["psnr_aligned"] >= found["psnr"] > 0


@pytest.mark.slow
def test_drift_is_measured_where_it_is_named(tmp_path, capsys):
    main(["--quick", "-o", str(tmp_path), "--only", "drift"])
    found = json.loads((tmp_path / "drift.json").read_text())["figures"]
    assert [row["frame"] for row in found["rows"]] == [0, 1, 2, 3]
    assert [row["frame"] for row in found["rows"] if "psnr" in row] == [0, 3]
    told = capsys.readouterr()
    assert "dome: frame 3 of 3, " in told.err
    (alone,) = found["alone"]
    assert alone["frame"] == 3 and f"and {alone['psnr']:.2f} dB alone." in told.out
    assert "| 3 to 3 |" in told.out
