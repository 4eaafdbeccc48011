"""PyTorch files: read without PyTorch, compared with what PyTorch itself reads."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import OrderedDict, defaultdict

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc_format.dtypes import dtype_of, to_words
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

torch = pytest.importorskip("torch")

FORMS = [pytest.param(True, id="zip"), pytest.param(False, id="legacy")]


def save(path, value, zipped=True):
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def bits(tensor):
    """The bit patterns of a torch tensor, which numpy may have no type for."""
    flat = tensor.detach().reshape(-1).clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)


def assert_same(state, tensors):
    assert list(state) == list(tensors)
    for name, tensor in tensors.items():
        assert state[name].shape == tuple(tensor.shape), name
        assert dtype_of(state[name]).numpy_name == str(tensor.dtype).removeprefix("torch."), name
        assert np.array_equal(to_words(state[name]).view("u1"), bits(tensor)), name


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.bool,
    torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64,
    torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
]  # fmt: skip


def filled(dtype, shape):
    count = int(np.prod(shape)) * torch.empty(0, dtype=dtype).element_size()
    data = np.random.default_rng(5).integers(0, 256, max(count, 1), np.uint8)
    if dtype == torch.bool:
        data &= 1
    if not count:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


@pytest.mark.parametrize("zipped", FORMS)
def test_every_element_type(tmp_path, zipped):
    tensors = {f"m.{i}": filled(dtype, (3, 2)) for i, dtype in enumerate(DTYPES)}
    checkpoint = checkpoints.read(save(tmp_path / "a.pt", tensors, zipped))
    assert_same(checkpoint.state, tensors)
    assert checkpoint.source_format == ("torch" if zipped else "torch-legacy")
    assert (checkpoint.key, checkpoint.skipped, checkpoint.extra) == ("", (), {})


@pytest.mark.parametrize("zipped", FORMS)
def test_views_strides_ties_parameters_and_odd_shapes(tmp_path, zipped):
    base = torch.arange(60, dtype=torch.float32).reshape(5, 12)
    tagged = torch.nn.Parameter(torch.ones(2))
    tagged.tag = "attributes of a parameter are kept by torch.save"
    tensors = OrderedDict(
        transposed=base.t(),
        strided=base[1::2, 2:9:3],
        tail=base[4],
        tied=base,
        again=base,
        scalar=torch.tensor(3.5),
        empty=torch.empty(0, 4),
        one=base[2:3, 3:4].t(),
        expanded=torch.tensor([1.0, 2.0]).expand(3, 2),
        parameter=torch.nn.Parameter(base[:, 0], requires_grad=False),
        tagged=tagged,
        double_of_same=base.double(),
    )
    checkpoint = checkpoints.read(save(tmp_path / "a.pth", tensors, zipped))
    assert_same(checkpoint.state, tensors)
    assert all(array.flags.c_contiguous for array in checkpoint.state.values())
    assert np.shares_memory(checkpoint.state["tied"], checkpoint.state["again"])


def test_a_view_of_another_element_type(tmp_path):
    base = torch.arange(8).to(torch.uint16)
    tensors = {"a": base, "b": base.view(torch.uint32), "c": base.view(torch.float8_e5m2)[3:]}
    assert_same(checkpoints.read(save(tmp_path / "a.pt", tensors)).state, tensors)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", FORMS)
def test_pickle_protocols(tmp_path, protocol, zipped):
    value = {"model": {"w": torch.eye(3), 7: torch.ones(1)}, "epoch": 2**70, "note": {"ä", b"b"}}
    path = tmp_path / "a.ckpt"
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    checkpoint = checkpoints.read(path)
    assert_same(checkpoint.state, {"w": torch.eye(3), "7": torch.ones(1)})
    assert checkpoint.key == "model"


def test_reading_needs_no_torch(tmp_path):
    path = save(tmp_path / "a.pt", {"w": torch.eye(3)})
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from nmc_tools import checkpoints as c\n"
        "state = c.read(sys.argv[1]).state\n"
        "assert state['w'].trace() == 3\n"
        "c.write(sys.argv[2], state, to='pt')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "b.pt"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].endswith("or write safetensors)")
    assert "needs PyTorch" in done.stderr
    assert not (tmp_path / "b.pt").exists()


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(3, 2)
        self.body = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1, bias=False))
        self.register_buffer("grid", torch.arange(4))
        self.loose = torch.ones(9)

    def forward(self, x):
        return self.body(self.a(x)) + self.grid.sum()


BUFFERS = {"grid", "body.0.running_mean", "body.0.running_var", "body.0.num_batches_tracked"}


@pytest.mark.parametrize("zipped", FORMS)
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_whole_pickled_module(tmp_path, zipped):
    net = Net()
    for value, key in ((net, ""), ({"model": net, "epoch": 3, "optimizer": None}, "model")):
        checkpoint = checkpoints.read(save(tmp_path / "a.pt", value, zipped))
        assert_same(checkpoint.state, net.state_dict())
        assert checkpoint.buffers == BUFFERS
        assert checkpoint.key == key


@pytest.mark.filterwarnings("ignore")
def test_torchscript(tmp_path):
    net = Net().eval()
    script = torch.jit.script(net)
    script.save(tmp_path / "a.jit")
    checkpoint = checkpoints.read(tmp_path / "a.jit")
    expected = torch.jit.load(tmp_path / "a.jit").state_dict()
    assert checkpoint.state.keys() == expected.keys()
    assert_same({n: checkpoint.state[n] for n in expected}, expected)
    assert checkpoint.source_format == "torchscript"
    assert checkpoint.buffers == BUFFERS
    assert checkpoint.skipped == ("1 tensors that are neither parameters nor buffers",)
    part = checkpoints.read(tmp_path / "a.jit", key="body.0")
    assert list(part.state) == [n[7:] for n in checkpoint.state if n.startswith("body.0.")]


def test_buffers_by_name(tmp_path):
    state = Net().state_dict()
    checkpoint = checkpoints.read(save(tmp_path / "a.pt", state))
    assert checkpoint.buffers == BUFFERS - {"grid"}


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (torch.eye(2).to_sparse(), "sparse"),
        (torch.ones(2, dtype=torch.complex64).conj(), "conjugated"),
        (torch.ones(2, dtype=torch.complex128), "complex128"),
        (torch.empty(2, device="meta"), "meta"),
    ],
)
def test_tensors_without_plain_elements_are_refused_by_name(tmp_path, tensor, why):
    path = save(tmp_path / "a.pt", {"ok": torch.ones(1), "odd.one": tensor})
    with pytest.raises(CheckpointError, match=rf"'odd\.one'.*{why}"):
        checkpoints.read(path)


def test_elements_that_cannot_be_stored_may_lie_beside_the_weights(tmp_path):
    value = {
        "state_dict": {"w": torch.ones(3)},
        "optimizer": {"state": {0: torch.ones(2, dtype=torch.complex128)}, "param_groups": []},
    }
    for zipped in (True, False):
        checkpoint = checkpoints.read(save(tmp_path / "a.pt", value, zipped))
        assert_same(checkpoint.state, value["state_dict"])


class _Run:
    """Stands for a storage; pickled by its identifier."""

    def __init__(self, *identifier):
        self.identifier = identifier


class _View:
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return torch._utils._rebuild_tensor, self.args


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.identifier if isinstance(obj, _Run) else None


def test_views_of_storages_in_old_files(tmp_path):
    path = tmp_path / "old.pth"
    view = _Run("storage", torch.FloatStorage, "k", "cpu", 10, ("v", 4, 6))
    whole = _Run("storage", torch.FloatStorage, "k", "cpu", 10, None)
    with path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(value, file, protocol=2)
        state = {"v": _View(view, 1, (2, 2), (2, 1)), "w": _View(whole, 0, (10,), (1,))}
        _Pickler(file, protocol=2).dump(state)
        pickle.dump(["k"], file, protocol=2)
        file.write((10).to_bytes(8, "little") + np.arange(10, dtype="<f4").tobytes())
    state = checkpoints.read(path).state
    assert state["v"].tolist() == [[5, 6], [7, 8]]
    assert state["w"].tolist() == list(range(10))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_round_trip(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("pt") / "a.pt"
    names = data.draw(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
    shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    tensors = {n: filled(data.draw(st.sampled_from(DTYPES)), data.draw(shapes)) for n in names}
    zipped = data.draw(st.booleans())
    try:
        save(path, tensors, zipped)
    except UnicodeEncodeError:  # a lone surrogate
        return
    try:
        state = checkpoints.read(path).state
    except CheckpointError as error:
        assert "not valid text" in error.reason
        return
    assert_same(state, tensors)
    checkpoints.write(path, state, to="pt")
    assert_same(state, torch.load(path, weights_only=True))
    assert_same(checkpoints.read(path).state, tensors)


def test_written_files_are_the_same_each_time(tmp_path):
    state = {"w": np.arange(4, dtype=ml_dtypes.bfloat16), "e": np.empty((0, 3))}
    for name in ("a.pt", "b.pt"):
        checkpoints.write(tmp_path / name, state, to="pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_dicts_of_other_kinds(tmp_path):
    inner = defaultdict(list, {"w": torch.ones(2)})
    assert list(checkpoints.read(save(tmp_path / "a.pt", {"net": inner})).state) == ["w"]


def test_a_program_of_torch_export_is_named(tmp_path):
    """Its weights lie in it without a pickle, behind a graph that is not read."""
    net = torch.nn.Linear(2, 2)
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(net, (torch.ones(1, 2),)), path)
    with pytest.raises(CheckpointError, match=r"torch\.export") as caught:
        checkpoints.read(path)
    assert "state_dict" in caught.value.hint


def test_what_was_conjugated_lazily_says_how_it_is_saved(tmp_path):
    torch.save({"w": torch.ones(2, dtype=torch.complex64).conj()}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="conjugated") as caught:
        checkpoints.read(tmp_path / "a.pt")
    assert "resolve_conj" in caught.value.hint
