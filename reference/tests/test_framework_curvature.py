"""Curvature by gradients is what small errors of the weights do to what is seen."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nmc_framework.evaluation.curvature import curvature  # noqa: E402


def seen(tensors, points, cells):
    table = torch.nn.functional.embedding(cells, tensors["table"])
    hidden = torch.tanh(
        torch.nn.functional.linear(torch.cat([points, table], 1), tensors["first"], tensors["bias"])
    )
    return torch.nn.functional.linear(hidden, tensors["last"])


def test_curvature_is_what_errors_do() -> None:
    random = torch.Generator().manual_seed(0)
    shapes = {"first": (16, 8), "bias": (16,), "last": (3, 16), "table": (50, 4)}
    tensors = {
        name: (0.5 * torch.randn(shape, generator=random)).requires_grad_()
        for name, shape in shapes.items()
    }
    points = torch.randn((4000, 4), generator=random)
    cells = torch.randint(0, 40, (4000,), generator=random)  # nobody looks at rows 40 to 49
    found = curvature(lambda _: seen(tensors, points, cells), tensors, probes=40)
    assert found.columns["first"].shape == (8, 8)
    assert set(found.elements) == {"bias", "table"}
    assert not found.elements["table"][40:].any()
    exact = {name: tensor.detach() for name, tensor in tensors.items()}
    truth = seen(exact, points, cells)
    for name, shape in shapes.items():
        errors, predicted = [], []
        for trial in range(20):
            off = 1e-3 * torch.randn(shape, generator=torch.Generator().manual_seed(trial))
            changed = {**exact, name: exact[name] + off}
            errors.append(float((seen(changed, points, cells) - truth).double().square().mean()))
            e = off.double().numpy()
            if name in found.columns:
                predicted.append(float(np.einsum("ri,ij,rj", e, found.columns[name], e)))
            else:
                predicted.append(float((found.elements[name] * e**2).sum()))
        assert np.mean(predicted) == pytest.approx(np.mean(errors), rel=0.25), name


def test_what_few_rays_have_missed_is_expected_elsewhere() -> None:
    table = torch.ones((1000, 2), requires_grad=True)
    random = torch.Generator().manual_seed(0)

    def some(_):
        return table[torch.randint(0, 500, (100,), generator=random)]  # half of it can be seen

    few = curvature(some, {"table": table}, probes=3).elements["table"]
    many = curvature(some, {"table": table}, probes=100).elements["table"]
    assert few[500:].max() > 0.1 * few.mean()
    assert many[500:].max() < 1e-6 * many.mean()


def test_gradients_that_are_none() -> None:
    weight = torch.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match="not finite"):
        curvature(lambda _: weight * torch.inf, {"w": weight}, probes=1)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("family", ["nerf_mlp", "nerf_plus_plus"])
def test_a_coarse_network_counts_a_little(family) -> None:
    from nmc_framework.evaluation.curvature import seen_curvature
    from nmc_framework.models import build
    from nmc_framework.scene import orbit_camera

    options = {"width": 16, "depth": 2, "skip": 1, "samples": 6, "fine_samples": 6}
    model = build(family, options, seed=0)
    found = seen_curvature(model, [orbit_camera(200, 20, (8, 8))], rays=64, probes=2).columns
    coarse, fine = (
        sum(np.trace(a) for name, a in found.items() if name.startswith(of))
        for of in ("coarse", "fine")
    )
    assert 0 < coarse < fine
