"""What callers hand over as a state: taken bit for bit, or refused with words."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import nmc
from nmc_format.dtypes import to_words


def stored(tmp_path, value) -> object:
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append({"w": value})
    with nmc.open(tmp_path / "x.nmc") as sequence:
        return sequence[0]["w"]


def refused(tmp_path, state) -> nmc.Finding:
    with pytest.raises(nmc.FormatError) as caught, nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append(state)
    assert caught.value.finding.code == "input/unsupported"
    assert not list(tmp_path.glob("*.nmc*"))
    return caught.value.finding


class Like:
    """An array of another library."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(3, dtype="f4")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(2.5), np.array(2.5, "f4")),
        (np.array(7, "u2"), np.array(7, "u2")),
        (3, np.array(3)),
        (2.5, np.array(2.5)),
        (True, np.array(True)),
        (np.arange(4, dtype=">i4"), np.arange(4, dtype="<i4")),
        (np.arange(4, dtype=">f8").reshape(2, 2).T, np.arange(4.0).reshape(2, 2).T),
        (np.arange(6.0)[::-2], np.array([5.0, 3, 1])),
        (np.broadcast_to(np.float32(1), (3, 2)), np.ones((3, 2), "f4")),
        (np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(6.0).reshape(2, 3)),
        (np.zeros((0, 3), "f2"), np.zeros((0, 3), "f2")),
        (Like(), np.arange(3, dtype="f4")),
        (np.array([1 + 2j], "c8"), np.array([1 + 2j], "c8")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_taken(tmp_path, value, expected) -> None:
    found = stored(tmp_path, value)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(to_words(found), to_words(expected))


@pytest.mark.parametrize(
    ("value", "words", "todo"),
    [
        ([1.0, 2.0], "a list", "numpy.asarray"),
        ((1, 2), "a tuple", "numpy.asarray"),
        ({"a": np.ones(1)}, "a dict", "flat"),
        (None, "a NoneType", "leave out"),
        ("text", "a str", "configuration"),
        (b"text", "a bytes", "configuration"),
        ({1, 2}, "a set", "numpy array"),
        (object(), "a object", "numpy array"),
        (np.array([None, 1]), "object", "leave it out"),
        (np.array(["a"]), "<U1", "text"),
        (np.ones(2, "c16"), "complex128", ".real"),
        (2j, "complex128", ".real"),
        (10**30, "object", "numbers"),
        (np.zeros(2, "M8[s]"), "datetime64", "int64"),
        (np.zeros(2, [("a", "f4")]), "'a'", "fields"),
        (np.zeros(2, np.longdouble), "float128", "float64"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "masked", "mask"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_refused_with_words(tmp_path, value, words, todo) -> None:
    found = refused(tmp_path, {"some.name": value})
    assert "'some.name'" in found.message
    assert words in found.message
    assert todo in found.hint


@pytest.mark.parametrize("state", [[np.ones(3)], np.ones(3), "x.pth", None, 3])
def test_what_is_no_state(tmp_path, state) -> None:
    assert "mapping" in refused(tmp_path, state).hint


def test_names_are_texts(tmp_path) -> None:
    assert "names are texts" in refused(tmp_path, {0: np.ones(3)}).hint


def test_any_mapping_is_a_state(tmp_path) -> None:
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append(OrderedDict(b=np.ones(1), a=np.zeros(2)))
    with nmc.open(tmp_path / "x.nmc") as sequence:
        assert list(sequence[0]) == ["b", "a"]


def test_tensors_of_torch(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.arange(6.0).reshape(2, 3)
    for tensor in (
        weight.clone().requires_grad_(),
        torch.nn.Parameter(weight),
        weight.T.contiguous().T,
        weight.expand(4, 2, 3)[1],
        weight.clone().share_memory_(),
    ):
        (tmp_path / "x.nmc").unlink(missing_ok=True)
        assert np.array_equal(stored(tmp_path, tensor), weight.numpy())
    (tmp_path / "x.nmc").unlink()
    assert stored(tmp_path, torch.tensor(3.0)).shape == ()


@pytest.mark.filterwarnings("ignore")
def test_tensors_of_torch_that_cannot_be_stored(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    dense = torch.eye(3)
    for tensor, words, todo in (
        (dense.to_sparse(), "sparse_coo", "to_dense"),
        (dense.to_sparse_csr(), "sparse_csr", "to_dense"),
        (dense.to("meta"), "meta", "load"),
        (torch.quantize_per_tensor(dense, 0.1, 0, torch.qint8), "quantised", "int_repr"),
        (torch.nested.nested_tensor([dense, dense[:2]]), "nested", "parts"),
        (dense.to(torch.complex128), "complex128", ".real"),
        (torch.nn.LazyLinear(2).weight, "no values", ""),
        (dense.to(torch.complex32), "omplex", ""),
        (torch.nn.Linear(2, 3), "a Linear", "state_dict"),
    ):
        found = refused(tmp_path, {"w": tensor})
        assert words in found.message, found
        assert todo in found.hint
    assert "state_dict" in refused(tmp_path, torch.nn.Linear(2, 3)).hint


def test_a_writer_after_a_refusal_and_after_close(tmp_path) -> None:
    writer = nmc.Writer(tmp_path / "x.nmc")
    with pytest.raises(nmc.FormatError):
        writer.append({"w": [1.0]})
    writer.append({"w": np.ones(3)})
    writer.close()
    writer.close()
    for use in (
        lambda: writer.append({"w": np.ones(3)}),
        writer.__enter__,
        lambda: writer.set_cameras(None),
        lambda: writer.set_quality(None),
    ):
        with pytest.raises(ValueError, match=r"x\.nmc.* is closed"):
            use()
    assert len(writer) == 1
    assert nmc.check(tmp_path / "x.nmc").accepted
