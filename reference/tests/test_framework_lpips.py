"""LPIPS against its definition, against torchmetrics' own program, and with files that are none."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nmc_framework.evaluation.lpips import TRUNKS, Lpips, _features, read_lpips
from nmc_framework.metrics import MetricError

pytestmark = pytest.mark.usefixtures("one_thread")


def weights(net, seed=0):
    """Return a backbone by torchvision's names, and heads by the authors', both random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = _features(net)
        heads = {
            f"lin{k}.model.1.weight": torch.rand(1, channels, 1, 1)
            for k, channels in enumerate(TRUNKS[net].channels)
        }
    backbone = {f"features.{name}": value for name, value in features.state_dict().items()}
    return backbone | {"classifier.1.weight": torch.zeros(3)}, heads


def picture(seed, size=(40, 48)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


@pytest.mark.parametrize("net", TRUNKS)
def test_it_agrees_with_torchmetrics(net, monkeypatch):
    # torchmetrics takes the network from torchvision; here it is given ours.
    from torchmetrics.functional.image import lpips as peer

    backbone, heads = weights(net)
    ours = Lpips(net, backbone, heads)
    monkeypatch.setattr(peer, "_get_tv_model_features", lambda *_: ours.features)
    theirs = peer._LPIPS(pretrained=False, net=net, pnet_rand=True)
    theirs.load_state_dict(heads, strict=False)
    a, b = picture(0), picture(1)
    tensors = [torch.from_numpy(x / 255).float().permute(2, 0, 1)[None] for x in (a, b)]
    with torch.no_grad():
        expected = float(theirs(*tensors, normalize=True))
    assert expected > 1e-3
    assert ours.distance(a, b) == pytest.approx(expected, rel=1e-3)
    assert ours.distance(a, a) == 0


def test_it_follows_its_definition_step_by_step():
    backbone, heads = weights("alex", seed=3)
    a, b = picture(2), picture(3)
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    features = []
    for image in (a, b):
        scaled = (image / 127.5 - 1 - shift) / scale
        x = torch.from_numpy(scaled).float().permute(2, 0, 1)[None]
        found = []
        for place, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            if place in {3, 6}:
                x = nn.functional.max_pool2d(x, 3, 2)
            weight, bias = (backbone[f"features.{place}.{name}"] for name in ("weight", "bias"))
            x = nn.functional.conv2d(x, weight, bias, stride=stride, padding=padding).relu()
            found.append(x[0].double().numpy())
        features.append(found)
    expected = 0.0
    for k, (one, two) in enumerate(zip(*features, strict=True)):
        units = [f / (np.sqrt((f**2).sum(axis=0)) + 1e-10) for f in (one, two)]
        head = heads[f"lin{k}.model.1.weight"].double().numpy().reshape(-1, 1, 1)
        expected += (head * (units[0] - units[1]) ** 2).sum(axis=0).mean()
    assert Lpips("alex", backbone, heads).distance(a, b) == pytest.approx(expected, rel=1e-4)


def test_each_network_says_how_small_an_image_may_be():
    for net, trunk in TRUNKS.items():
        distance = Lpips(net, *weights(net))
        least = trunk.least
        assert np.isfinite(distance.distance(*(picture(s, (least, 40)) for s in (0, 1))))
        with pytest.raises(MetricError, match=f"sides of at least {least}"):
            distance.distance(*(picture(s, (least - 1, 40)) for s in (0, 1)))
        with pytest.raises(RuntimeError):  # torch itself says so
            distance(*(torch.zeros(1, 3, least - 1, least - 1) for _ in range(2)))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_files(tmp_path, suffix):
    backbone, heads = weights("alex")
    paths = [tmp_path / f"{name}{suffix}" for name in ("backbone", "heads")]
    for path, state in zip(paths, (backbone, heads), strict=True):
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    read = read_lpips("alex", *paths)
    a, b = picture(0), picture(1)
    assert read.distance(a, b) == Lpips("alex", backbone, heads).distance(a, b)
    # The heads as a network without dropout names them.
    renamed = {name.replace("model.1", "model.0"): value for name, value in heads.items()}
    assert Lpips("alex", backbone, renamed).distance(a, b) == read.distance(a, b)


class Mark:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_files_that_are_no_weights(tmp_path):
    backbone, heads = weights("alex")
    good, other, bad = (tmp_path / name for name in ("good.pth", "other.pth", "bad.pth"))
    torch.save(backbone, good)
    torch.save(heads, other)

    def refused(*paths):
        with pytest.raises(MetricError) as caught:
            read_lpips("alex", *paths)
        return str(caught.value)

    assert "weights of AlexNet: a file that you supply (torchvision" in refused(None, other)
    # Without heads of one's own those that torchmetrics brings are taken.
    assert read_lpips("alex", good, None).distance is not None
    assert "no such file" in refused(tmp_path / "none.pth", other)
    assert "lack 'features.0.weight'" in refused(other, other)
    assert "lack 'lin0.model.1.weight'" in refused(good, good)
    torch.save([1, 2], bad)
    assert "no tensors by name" in refused(bad, other)
    mark = tmp_path / "executed"
    bad.write_bytes(pickle.dumps(Mark(mark)))
    assert "cannot" in refused(bad, other) or "no weights that can be read" in refused(bad, other)
    assert not mark.exists()
    torch.save(weights("vgg")[0], bad)
    assert "expected (64, 3, 11, 11)" in refused(bad, other)
    torch.save(weights("vgg")[1], bad)
    assert "expected (1, 192, 1, 1)" in refused(good, bad)
    with pytest.raises(MetricError, match="there are alex, vgg, squeeze"):
        read_lpips("resnet", good, other)
