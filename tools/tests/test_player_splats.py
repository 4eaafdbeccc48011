"""Gaussians in the player, against a renderer in NumPy after Kerbl et al. 2023."""

import numpy as np
import pytest
from browser import Page, psnr
from serving import served

import nmc
from nmc_tools.player.address import page_address

SIZE = (40, 32)


def camera(angle):
    from nmc_framework.cameras import Camera, look_at

    eye = (4 * np.cos(angle), 4 * np.sin(angle), 1.0)
    return Camera(44.0, 41.0, 21.0, 15.0, *SIZE, look_at(eye, (0, 0, 0)), "view")


def gaussians(count, coefficients, seed):
    """Return the tensors of a trainer: means, scales and quats, opacities, harmonics."""
    rng = np.random.default_rng(seed)
    return {
        "means": rng.normal(0, 0.8, (count, 3)),
        "scales": rng.normal(-1.6, 0.5, (count, 3)),
        "quats": rng.normal(0, 1, (count, 4)),
        "opacities": rng.normal(0.5, 2, count),
        "sh0": rng.normal(0, 1, (count, 1, 3)),
        "shN": rng.normal(0, 0.3, (count, coefficients, 3)),
    }


def as_ply(splats):
    """Return the same as the files of the reference name them."""
    rest = splats["shN"].transpose(0, 2, 1)
    return {
        "xyz": splats["means"],
        "scale": splats["scales"],
        "rotation": splats["quats"],
        "opacity": splats["opacities"][:, None],
        "f_dc": splats["sh0"][:, 0],
        "f_rest": rest.reshape(len(rest), -1),
    }


def harmonics(d):
    x, y, z = d.T
    return np.stack(
        [
            np.full_like(x, 0.28209479177387814),
            -0.4886025119029199 * y,
            0.4886025119029199 * z,
            -0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * z * z - x * x - y * y),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
            0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -0.4570457994644658 * x * (4 * z * z - x * x - y * y),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ],
        axis=1,
    )


def rotations(quats):
    w, x, y, z = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)


def rendered(splats, view):
    """Return the picture (height, width, 3) uint8 over black."""
    away = splats["means"] - view.centre
    t = away @ view.rotation
    spread = rotations(splats["quats"]) * np.exp(splats["scales"])[:, None]
    local = view.rotation.T @ spread
    sigma = local @ local.transpose(0, 2, 1)
    slope = t[:, :2] / t[:, 2:]
    limit = 1.3 * 0.5 * np.array(SIZE) / (view.fx, view.fy)
    slope = np.clip(slope, -limit, limit)
    j = np.zeros((len(t), 2, 3))
    j[:, 0, 0], j[:, 1, 1] = view.fx / t[:, 2], view.fy / t[:, 2]
    j[:, 0, 2], j[:, 1, 2] = -view.fx * slope[:, 0] / t[:, 2], -view.fy * slope[:, 1] / t[:, 2]
    flat = j @ sigma @ j.transpose(0, 2, 1) + 0.3 * np.eye(2)
    conic = np.linalg.inv(flat)
    middle = t[:, :2] / t[:, 2:] * (view.fx, view.fy) + (view.cx, view.cy)
    coefficients = np.concatenate([splats["sh0"], splats["shN"]], axis=1)[:, :16]
    basis = harmonics(away / np.linalg.norm(away, axis=1, keepdims=True))
    colour = np.einsum("nk,nkc->nc", basis[:, : coefficients.shape[1]], coefficients)
    colour = np.maximum(colour + 0.5, 0)
    opacity = 1 / (1 + np.exp(-splats["opacities"]))
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    pixels = np.stack([x, y], axis=-1)
    out, left = np.zeros((SIZE[1], SIZE[0], 3)), np.ones((SIZE[1], SIZE[0]))
    for i in np.argsort(t[:, 2]):
        if t[i, 2] <= 0.2:
            continue
        d = pixels - middle[i]
        alpha = opacity[i] * np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", d, conic[i], d))
        alpha = np.where(alpha < 1 / 255, 0, np.minimum(alpha, 0.99))
        out += (left * alpha)[..., None] * colour[i]
        left *= 1 - alpha
    return np.round(255 * np.clip(out, 0, 1)).astype(np.uint8)


@pytest.mark.sweep(9)
@pytest.mark.parametrize("names", ["gsplat", "ply"])
@pytest.mark.parametrize("coefficients", [0, 3, 15])
def test_gaussians_are_drawn_sorted(browsers, tmp_path, coefficients, names):
    path = tmp_path / "splats.nmc"
    frames = [gaussians(n, coefficients, seed) for seed, n in enumerate((60, 75, 50))]
    with nmc.Writer(path, family="gaussians") as writer:
        for splats in frames:
            state = splats if names == "gsplat" else as_ply(splats)
            if not coefficients:
                state = {name: a for name, a in state.items() if name not in {"shN", "f_rest"}}
            writer.append({name: array.astype(np.float32) for name, array in state.items()})
    with served([path]) as url, Page(browsers[0], page_address(url, path)) as page:
        page.opened()
        for frame, splats in enumerate(frames):
            page.show(frame)
            for angle in (0.3, 2.0, 4.4):
                seen, expected = page.picture(camera(angle)), rendered(splats, camera(angle))
                assert expected.std() > 15  # there is something to see
                assert psnr(seen, expected) > 38
        assert page.notice is None
        assert page.errors == []


def as_stored(kind, state):
    """Return the tensors that nmc pack keeps of a kind of file, and the notes of it."""
    from nmc_tools.checkpoints import gltf_gaussians, spz_files

    if kind in {"F16", "BF16"}:
        import ml_dtypes

        dtype = np.float16 if kind == "F16" else ml_dtypes.bfloat16
        return {name: array.astype(dtype) for name, array in state.items()}, {}
    if kind == "splat":
        del state["f_rest"]
        turn = state["rotation"] / np.linalg.norm(state["rotation"], axis=1, keepdims=True)
        share = 0.5 + 0.28209479177387814 * state["f_dc"]
        opacity = 1 / (1 + np.exp(-state["opacity"]))
        colours = np.round(255 * np.clip(np.hstack([share, opacity]), 0, 1))
        return {
            "position": state["xyz"],
            "scale": np.exp(state["scale"]),
            "colors": colours.astype(np.uint8),
            "rotation": np.clip(np.round(128 * turn + 128), 0, 255).astype(np.uint8),
        }, {}
    if kind == "spz":
        return spz_files.packed(state), {}
    node = {"rotation": gltf_gaussians.UPSIDE} if kind == "gltf, turned by a node" else {}
    return gltf_gaussians.attributes_of(state), {"gltf": {"node": node, "normalised": []}}


@pytest.mark.sweep(9)
@pytest.mark.parametrize("kind", ["F16", "BF16", "splat", "spz", "gltf", "gltf, turned by a node"])
def test_gaussians_of_every_kind_of_file_are_drawn(browsers, tmp_path, kind):
    from nmc_tools.checkpoints.gaussian_kinds import gaussians_of

    path = tmp_path / "splats.nmc"
    plain = {name: array.astype("f4") for name, array in as_ply(gaussians(60, 8, 3)).items()}
    state, extra = as_stored(kind, plain)
    configuration = {"checkpoint": {"format": kind, "extra": extra}}
    with nmc.Writer(path, family="gaussians", configuration=configuration) as writer:
        writer.append(state)
    if kind in {"F16", "BF16"}:
        state = {name: array.astype("f4") for name, array in state.items()}
    made = gaussians_of(state, extra)
    rest = made.get("f_rest", np.zeros((60, 0), "f4")).reshape(60, 3, -1).transpose(0, 2, 1)
    splats = {
        "means": made["xyz"],
        "scales": made["scale"],
        "quats": made["rotation"],
        "opacities": made["opacity"][:, 0],
        "sh0": made["f_dc"][:, None],
        "shN": rest,
    }
    with served([path]) as url, Page(browsers[0], page_address(url, path)) as page:
        page.opened()
        page.show(0)
        for angle in (0.3, 2.0):
            seen, expected = page.picture(camera(angle)), rendered(splats, camera(angle))
            assert expected.std() > 15
            assert psnr(seen, expected) > 38
        assert page.notice is None
        assert page.errors == []


def test_gaussians_that_do_not_fit_are_told(browsers, tmp_path):
    path = tmp_path / "splats.nmc"
    state = gaussians(5, 0, 1)
    state = {name: array.astype(np.float32) for name, array in state.items()}
    state["scales"] = state["scales"][:4]
    with nmc.Writer(path, family="gaussians") as writer:
        writer.append(state)
    with served([path]) as url, Page(browsers[0], page_address(url, path)) as page:
        page.wait("() => nmcPlayer.frame === 0")
        assert "tensor scales has 12 numbers" in page.notice
        assert page.errors == []
