"""Files are told apart by their content, also where their first bytes look like another kind's."""

import numpy as np
import pytest
from safetensors.numpy import save

from nmc_tools import checkpoints


@pytest.mark.parametrize("low", range(2, 6))
def test_safetensors_header_length_that_looks_like_a_pickle(tmp_path, low):
    """A header of 0x280 to 0x580 bytes makes the file begin with 80 02 … 80 05, as pickles do."""
    wanted = 0x80 + 256 * low
    array = np.arange(3, dtype=np.float32)
    plain = len(save({"": array})) - array.nbytes - 8
    data = b""
    for pad in range(wanted - plain - 8, wanted - plain + 1):
        data = save({"n" * max(1, pad): array})
        if int.from_bytes(data[:8], "little") == wanted:
            break
    assert data[:2] == bytes([0x80, low])
    path = tmp_path / "frame.safetensors"
    path.write_bytes(data)
    (name,) = checkpoints.read(path).state
    assert np.array_equal(checkpoints.read(path).state[name], array)
