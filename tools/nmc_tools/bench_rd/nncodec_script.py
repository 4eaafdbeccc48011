"""Codes a chain with NNCodec; run by the Python of NNCodec's own environment, never imported.

Takes the path of a job, a JSON file: ``frames`` (safetensors files), ``qp``, ``intra``,
``key_every`` and ``output``, a folder. Leaves there the bit streams ``<t>.nnc``, the decoded states
``<t>.safetensors`` and ``result.json``: bytes of each frame, seconds to encode and to decode.

Differential is closed loop: the difference from the *decoded* frame before is coded, as a
differential update of ISO/IEC 15938-17 is. The options are those of NNCodec's own ``nn.encode``:
dependent quantisation, parameter optimisation and row skipping on. NNCodec refuses all but float32
and int32; tensors of other types travel beside it, deflated.
"""

import contextlib
import io
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from nncodec import nnc
from safetensors.numpy import load_file, save_file

Arrays = dict[str, np.ndarray[Any, Any]]


def encode(tensors: Arrays, qp: int, output: Path) -> bytes:
    """Return the bit stream of some float32 tensors."""
    with contextlib.redirect_stdout(io.StringIO()):
        return bytes(
            nnc.compress(
                tensors,
                bitstream_path=str(output),
                qp=qp,
                use_dq=True,
                param_opt=True,
                row_skipping=True,
                return_bitstream=True,
            )
        )


def decode(data: bytes) -> Arrays:
    """Return the tensors of a bit stream."""
    with contextlib.redirect_stdout(io.StringIO()):
        found: Arrays = nnc.decompress(bytearray(data))
    return found


def main() -> None:
    """Code what the job names."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    output = Path(job["output"])
    sizes, encoding, decoding = [], 0.0, 0.0
    before: Arrays = {}
    plain_before: Arrays = {}
    for t, path in enumerate(job["frames"]):
        state = load_file(path)
        key = job["intra"] or t % job["key_every"] == 0
        taken = {n: a for n, a in state.items() if a.dtype == np.float32 and a.size}
        plain = {n: a for n, a in state.items() if n not in taken}
        sent = [n for n in plain if key or not same(plain[n], plain_before.get(n))]
        beside = sum(len(zlib.compress(plain[name].tobytes(), 9)) for name in sent)
        began = time.process_time()
        data = encode(
            {n: a if key else a - before[n] for n, a in taken.items()}, job["qp"], output / "stream"
        )
        encoding += time.process_time() - began
        began = time.process_time()
        found = decode(data)
        decoded = {n: found[n] if key else before[n] + found[n] for n in taken}
        decoding += time.process_time() - began
        (output / f"{t}.nnc").write_bytes(data)
        save_file(
            {n: np.ascontiguousarray(decoded[n] if n in decoded else plain[n]) for n in state},
            output / f"{t}.safetensors",
        )
        sizes.append((output / f"{t}.nnc").stat().st_size + beside)
        before, plain_before = decoded, plain
    result = {"bytes": sizes, "encode": encoding, "decode": decoding}
    (output / "result.json").write_text(json.dumps(result), encoding="utf-8")


def same(array: np.ndarray[Any, Any], other: object) -> bool:
    """Say whether an array is bit for bit another one."""
    return isinstance(other, np.ndarray) and array.tobytes() == other.tobytes()


if __name__ == "__main__":
    main()
