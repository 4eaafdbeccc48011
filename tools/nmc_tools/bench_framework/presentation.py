"""The tables as Markdown, and their plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nmc_tools.bench.published import machine
from nmc_tools.terminal import size_text

Figures = Mapping[str, Any]

_VERSIONS = ("torch", "numpy", "numba")
#: Wang et al., "INV: Towards Streaming Incremental Neural Videos", arXiv 2302.01532, abstract.
_PRIOR = (
    "The nearest prior art, INV (Wang et al. 2023, arXiv 2302.01532), trains the front layers of a "
    "NeRF MLP for each frame with the back frozen. Published, on its own scenes and a GPU: 8 "
    "minutes a frame, above 28.6 dB, 0.3 MB a frame after a lossy compression of its weights."
)


def markdown(tables: Mapping[str, Figures]) -> str:
    """Return all tables that there are, in order, with a line that says what each shows."""
    parts = [_RENDERERS[name](tables[name]) for name in _RENDERERS if name in tables]
    return "\n\n".join([*parts, _PRIOR, f"Measured on {machine(_VERSIONS)}."]) + "\n"


def _table(head: str, rows: list[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|---" + "|---:" * (columns - 1) + "|", *rows])


def _sharing(figures: Figures) -> str:
    rows = []
    for family, measured in figures.items():
        for frame, found in measured["frames"].items():
            full = found["full"]
            name = f"{family}, frame {frame}"
            rows.append(f"| {name} | {measured['first']} | {found['rays']} | | {full:.2f} | | |")
            rows += [_sharing_row(row, found["rays"], full) for row in found["rows"]]
            larger = found.get("larger", {"rows": []})
            rows += [_sharing_row(row, larger["rays"], full, rest="") for row in larger["rows"]]
    text = (
        "Weight sharing: a frame learned from the frame before, and from random weights; PSNR in\n"
        "dB on held-out views. Frames between had a tenth of frame 0's iterations. The gain is at\n"
        "equal iterations and rays; the last column compares with frame 0's full training."
    )
    head = "| | iterations | rays | shared | scratch | gain | to scratch in full |"
    return f"{text}\n\n{_table(head, rows)}"


def _sharing_row(row: Figures, rays: int, full: float, rest: str | None = None) -> str:
    gain = f"{row['scratch']:.2f} | {row['shared'] - row['scratch']:+.2f}"
    gain = gain if rest is None else f"{rest} | {rest}"
    return (
        f"| | {row['iterations']} | {rays} | {row['shared']:.2f} | {gain} | "
        f"{row['shared'] - full:+.2f} |"
    )


def _freezing(figures: Figures) -> str:
    rows = []
    for family, measured in figures.items():
        whole = measured[0]["operations"]
        for row in measured:
            layers = ", ".join(map(str, row["exclude_layers"])) or "none"
            share = f"{row['operations'] / whole:.2f}" if whole else ""
            rows.append(
                f"| {family}, {row['name']} | {layers} | {row['relative']:.2f} | {share} | "
                f"{row['seconds']:.1f} | {row['psnr']:.2f} | {size_text(row['delta_bytes'])} |"
            )
    text = (
        "Freezing: frame 1 in a tenth of frame 0's iterations. Time of an iteration on a thread,\n"
        "and the arithmetic of its matrix products, relative to freezing nothing; bytes of the\n"
        "delta frame in the package, lossless, effort *strong*. All rows but the first hold the\n"
        "smallest moves back, up to 0.003 of a tensor's squared change."
    )
    head = "| family, frozen | layers | time | products | s a frame | PSNR dB | delta |"
    return f"{text}\n\n{_table(head, rows)}"


def _hash_grid(figures: Figures) -> str:
    first, later = figures["iterations"]
    rows = [f"| {r['frame']} | {r['seconds']:.1f} | {r['psnr']:.2f} |" for r in figures["rows"]]
    text = (
        "The hash grid on the room with the settings of the two tables before: not those that the\n"
        f"scenes have by default, but the family's own options, {first} iterations of 2,048 rays\n"
        f"for frame 0 and {later} for each later one:"
    )
    return f"{text}\n\n{_table('| frame | seconds | PSNR dB |', rows)}"


def _scenes(figures: Figures) -> str:
    rows = []
    for name, found in figures.items():
        first, *later = found["rows"]
        size = "x".join(map(str, found["size"]))
        quality = sum(row["psnr"] for row in later) / len(later)
        seconds = sum(row["seconds"] for row in later) / len(later)
        rows.append(
            f"| {name} | {found['cameras']}, {size} | {found['iterations'][0]} | "
            f"{first['seconds']:.0f} | {first['psnr']:.2f} | {seconds:.1f} | {quality:.2f} | "
            f"{1000 * found['flicker']:.1f} / {1000 * found['flicker_alone']:.1f} | "
            f"{found['rendering']:.2f} | {_number(found.get('in_time'))} |"
        )
    text = (
        "Every embedded scene with the hash grid and default settings: seconds and PSNR in dB of\n"
        "frame 0 and of later frames, on held-out views, against pictures without the cameras'\n"
        "faults. *Flicker*: mean change of a rendering from frame 0 to 1 where the truth stands\n"
        "still, in thousandths of white, with weights shared and with frame 1 trained alone.\n"
        "*In the room's time*: dB of frame 0 when it is given the seconds that the room's took."
    )
    head = (
        "| scene | cameras | iterations | s, frame 0 | dB | s, later | dB | flicker | s a picture "
        "| dB in the room's time |"
    )
    return f"{text}\n\n{_table(head, rows)}"


def _number(value: float | None) -> str:
    """Return a figure of two places, or nothing where there is none."""
    return "" if value is None else f"{value:.2f}"


def _fox(figures: Figures) -> str:
    trained, tested = figures["cameras"]
    size = "x".join(map(str, figures["size"]))
    row = (
        f"| {figures['name']} | {trained}, {size} | {tested} | {figures['iterations']} | "
        f"{figures['seconds']:.0f} | {figures['psnr']:.2f} | {figures['psnr_aligned']:.2f} |"
    )
    text = (
        "Photographs of a real scene with the hash grid and default settings, every eighth held\n"
        "out; dB of these as they are, and after an affine fit of their colours:"
    )
    head = "| | cameras | held out | iterations | s | dB | dB, colours fitted |"
    return f"{text}\n\n{_table(head, [row])}"


def _drift(figures: Figures) -> str:
    first, *later = figures["rows"]
    judged = [row for row in later if "psnr" in row]
    third = max(1, len(later) // 3)
    rows = [f"| 0 | {first['seconds']:.1f} | {first['psnr']:.2f} | |"]
    for begin in range(0, len(later), third):
        part = later[begin : begin + third]
        psnrs = [row["psnr"] for row in part if "psnr" in row]
        if psnrs:
            seconds = sum(row["seconds"] for row in part) / len(part)
            rows.append(
                f"| {part[0]['frame']} to {part[-1]['frame']} | {seconds:.1f} | "
                f"{sum(psnrs) / len(psnrs):.2f} | {min(psnrs):.2f} |"
            )
    by_frame = {row["frame"]: row["psnr"] for row in judged}
    alone = "; ".join(
        f"frame {one['frame']} has {by_frame[one['frame']]:.2f} dB in the chain and "
        f"{one['psnr']:.2f} dB alone"
        for one in figures["alone"]
    )
    text = (
        f"Drift: {len(later)} frames of the {figures['scene']}, each from the one before, default\n"
        f"settings, {figures['iterations'][1]} iterations each. Every third frame is judged. The\n"
        f"worst and the last one beside the same instants, trained alone as frame 0 is:\n{alone}."
    )
    return f"{text}\n\n{_table('| frames | s a frame | mean PSNR dB | worst |', rows)}"


def _rendering(figures: Figures) -> str:
    seconds, workers, count = figures["seconds"], figures["workers"], figures["images"]
    names = {
        "alone": "1 process",
        "started": f"{workers} workers, started for it",
        "ready": f"{workers} workers that stand ready",
    }
    rows = [
        f"| {names[key]} | {taken:.1f} | {count / taken:.1f} | {seconds['alone'] / taken:.2f} |"
        for key, taken in seconds.items()
    ]
    same = "the same bytes" if figures["identical"] else "**different bytes**"
    text = f"Rendering {count} images of {figures['pixels']} pixels squared; {same} each time:"
    return f"{text}\n\n{_table('| | seconds | images/s | speed-up |', rows)}"


def _memory(figures: Figures) -> str:
    rows = [
        f"| {row['kind']} | {row['frame']} | {size_text(row['held'])} | "
        f"{size_text(row['resident'])} |"
        for row in figures["rows"]
    ]
    text = (
        "Memory after early and late frames: all live objects and tensors, and the whole process;\n"
        f"a state is {size_text(figures['state_bytes'])}."
    )
    return f"{text}\n\n{_table('| | frame | live | resident |', rows)}"


def _sfm(figures: Figures) -> str:
    head = (
        "| registered | reprojection px | mean centre | worst centre | worst rotation | seconds |"
    )
    row = (
        f"| {figures['registered']} of {figures['cameras']} | {figures['reprojection']:.2f} | "
        f"{100 * figures['mean_centre']:.3f} % | {100 * figures['worst_centre']:.3f} % | "
        f"{figures['worst_rotation']:.3f}° | {figures['seconds']:.0f} |"
    )
    text = (
        f"Structure from motion on one instant, {figures['pixels']} pixels squared; centres after\n"
        "alignment, as shares of the scene's diagonal:"
    )
    return f"{text}\n\n{_table(head, [row])}"


_RENDERERS: dict[str, Callable[[Figures], str]] = {
    "scenes": _scenes,
    "fox": _fox,
    "drift": _drift,
    "sharing": _sharing,
    "freezing": _freezing,
    "hash_grid": _hash_grid,
    "rendering": _rendering,
    "memory": _memory,
    "sfm": _sfm,
}

_INK, _SHARED, _SCRATCH = "#2b3440", "#1f6f78", "#b5442e"
_COLOURS = {"hash_grid": "#1f6f78", "nerf_mlp": "#b5442e", "voxel_grid": "#e0a458"}
_MARKS = {
    "none": "o",
    "none, small moves held": "P",
    "front": "s",
    "back": "D",
    "first few": "^",
    "auto": "*",
}


def plot(tables: Mapping[str, Figures], path: Path) -> None:
    """Draw weight sharing on the left, freezing on the right; no picture where both are missing."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    sharing, freezing = tables.get("sharing", {}), tables.get("freezing", {})
    if not (sharing or freezing):
        return
    with mpl.rc_context({"text.color": _INK, "axes.labelcolor": _INK, "font.size": 9}):
        figure = Figure(figsize=(12, 6.2), layout="constrained", dpi=110)
        places = figure.subplots(1, len(sharing) + bool(freezing), squeeze=False)[0]
        for axes, (family, measured) in zip(places, sharing.items(), strict=False):
            _sharing_panel(axes, family, measured)
        if freezing:
            _freezing_panel(places[-1], freezing)
            figure.legend(
                *places[-1].get_legend_handles_labels(),
                title="Freezing",
                frameon=False,
                fontsize=7,
                ncols=len(freezing),
                loc="outside lower right",
            )
        for axes in places:
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color="#e6eaee")
            axes.set_axisbelow(True)
        figure.savefig(path)


def _sharing_panel(axes: Any, family: str, measured: Figures) -> None:
    *_, (frame, found) = measured["frames"].items()
    rows = sorted(found["rows"], key=lambda row: row["iterations"])
    counts = [row["iterations"] for row in rows]
    axes.plot(counts, [r["shared"] for r in rows], "o-", color=_SHARED, label="from frame t-1")
    axes.plot(
        [*counts, measured["first"]],
        [*(row["scratch"] for row in rows), found["full"]],
        "s--",
        color=_SCRATCH,
        label="from random weights",
    )
    larger = found.get("larger")
    if larger:
        axes.plot(
            [r["iterations"] for r in larger["rows"]],
            [r["shared"] for r in larger["rows"]],
            "o:",
            mfc="white",
            color=_SHARED,
            label=f"from frame t-1, {larger['rays']} rays",
        )
    axes.axhline(found["full"], color=_SCRATCH, lw=0.8, alpha=0.5)
    axes.set_xscale("log")
    ticks = [*counts, measured["first"]]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("iterations")
    axes.set_ylabel("PSNR on held-out views (dB)")
    axes.set_title(f"{family}: frame {frame}", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="lower right")


def _freezing_panel(axes: Any, freezing: Figures) -> None:
    for family, rows in freezing.items():
        base = rows[0]
        for row in rows:
            axes.scatter(
                row["delta_bytes"] / base["delta_bytes"],
                row["psnr"] - base["psnr"],
                s=90 if row["name"] == "auto" else 45,
                marker=_MARKS[row["name"]],
                color=_COLOURS[family],
                label=f"{family}, {row['name']}",
                zorder=3,
            )
    axes.axhline(0, color=_INK, lw=0.6)
    axes.set_xlabel("bytes of the delta frame, relative to freezing nothing")
    axes.set_ylabel("PSNR against freezing nothing (dB)")
    axes.set_title("Freezing", loc="left", fontweight="bold")
