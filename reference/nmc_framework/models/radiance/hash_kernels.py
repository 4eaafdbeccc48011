"""CPU kernels of the multiresolution grid: interpolation and its transpose."""

from __future__ import annotations

import numpy as np

from nmc.machine_code import compiled

#: Primes of Müller et al. 2022 (Instant-NGP), equation 4; the first is 1.
PRIMES = (1, 2654435761, 805459861)

_ONE = np.float32(1)


@compiled(nogil=True, fastmath=True)
def _place(points, n, cells, hashed, mask, rows, weights):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the table rows and trilinear weights of the 8 corners about a point, x fastest."""
    scale, last = np.float32(cells), np.int32(cells - 1)
    x, y, z = points[n, 0] * scale, points[n, 1] * scale, points[n, 2] * scale
    i = min(max(np.int32(x), np.int32(0)), last)
    j = min(max(np.int32(y), np.int32(0)), last)
    k = min(max(np.int32(z), np.int32(0)), last)
    if hashed:
        x0, x1 = np.uint32(i), np.uint32(i + 1)
        y0 = np.uint32(np.uint32(j) * np.uint32(2654435761))
        y1 = np.uint32(y0 + np.uint32(2654435761))
        z0 = np.uint32(np.uint32(k) * np.uint32(805459861))
        z1 = np.uint32(z0 + np.uint32(805459861))
        a, b, c, d = y0 ^ z0, y1 ^ z0, y0 ^ z1, y1 ^ z1
        rows[0], rows[1] = np.int64((x0 ^ a) & mask), np.int64((x1 ^ a) & mask)
        rows[2], rows[3] = np.int64((x0 ^ b) & mask), np.int64((x1 ^ b) & mask)
        rows[4], rows[5] = np.int64((x0 ^ c) & mask), np.int64((x1 ^ c) & mask)
        rows[6], rows[7] = np.int64((x0 ^ d) & mask), np.int64((x1 ^ d) & mask)
    else:
        side = np.int64(cells + 1)
        row = (np.int64(k) * side + j) * side + i
        rows[0], rows[1], rows[2], rows[3] = row, row + 1, row + side, row + side + 1
        row += side * side
        rows[4], rows[5], rows[6], rows[7] = row, row + 1, row + side, row + side + 1
    fx, fy, fz = x - np.float32(i), y - np.float32(j), z - np.float32(k)
    gx, gy, gz = _ONE - fx, _ONE - fy, _ONE - fz
    p, q, r, s = gy * gz, fy * gz, gy * fz, fy * fz
    weights[0], weights[1], weights[2], weights[3] = gx * p, fx * p, gx * q, fx * q
    weights[4], weights[5], weights[6], weights[7] = gx * r, fx * r, gx * s, fx * s


@compiled(nogil=True, fastmath=True)
def interpolate(points, table, cells, hashed, out, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the trilinear mix of the 8 corner features of each point to ``out[:, column:]``."""
    size, width = table.shape
    mask = np.uint32(size - 1)
    r, w = np.empty(8, np.int64), np.empty(8, np.float32)
    for n in range(points.shape[0]):
        _place(points, n, cells, hashed, mask, r, w)
        if width == 4:  # the usual width: unrolled, it takes half the time
            a = b = c = d = np.float32(0)
            for corner in range(8):
                row, weight = r[corner], w[corner]
                a += weight * table[row, 0]
                b += weight * table[row, 1]
                c += weight * table[row, 2]
                d += weight * table[row, 3]
            out[n, column], out[n, column + 1] = a, b
            out[n, column + 2], out[n, column + 3] = c, d
        else:
            for f in range(width):
                total = np.float32(0)
                for corner in range(8):
                    total += w[corner] * table[r[corner], f]
                out[n, column + f] = total


@compiled(nogil=True, fastmath=True)
def deposit(points, gradient, cells, hashed, out, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add each point's share of ``gradient[:, column:]`` to its 8 corners (the transpose)."""
    size, width = out.shape
    mask = np.uint32(size - 1)
    r, w = np.empty(8, np.int64), np.empty(8, np.float32)
    for n in range(points.shape[0]):
        _place(points, n, cells, hashed, mask, r, w)
        if width == 4:  # the usual width: unrolled, it takes half the time
            a, b = gradient[n, column], gradient[n, column + 1]
            c, d = gradient[n, column + 2], gradient[n, column + 3]
            for corner in range(8):
                row, weight = r[corner], w[corner]
                out[row, 0] += weight * a
                out[row, 1] += weight * b
                out[row, 2] += weight * c
                out[row, 3] += weight * d
        else:
            for corner in range(8):
                row, weight = r[corner], w[corner]
                for f in range(width):
                    out[row, f] += weight * gradient[n, column + f]


@compiled(nogil=True, fastmath=True)
def slope(points, table, gradient, cells, hashed, out, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add to ``out`` (N, 3) how each point's features, times their gradient, change with its place.

    The derivative of the trilinear mix along each axis is the mix of the differences of opposite
    corners; beyond the border it is that of the border cell.
    """
    size, width = table.shape
    mask = np.uint32(size - 1)
    scale, last = np.float32(cells), np.int32(cells - 1)
    r, w, d = np.empty(8, np.int64), np.empty(8, np.float32), np.empty(8, np.float32)
    for n in range(points.shape[0]):
        _place(points, n, cells, hashed, mask, r, w)
        for corner in range(8):
            total = np.float32(0)
            for f in range(width):
                total += gradient[n, column + f] * table[r[corner], f]
            d[corner] = total
        x, y, z = points[n, 0] * scale, points[n, 1] * scale, points[n, 2] * scale
        fx = x - np.float32(min(max(np.int32(x), np.int32(0)), last))
        fy = y - np.float32(min(max(np.int32(y), np.int32(0)), last))
        fz = z - np.float32(min(max(np.int32(z), np.int32(0)), last))
        gx, gy, gz = _ONE - fx, _ONE - fy, _ONE - fz
        across = gy * gz * (d[1] - d[0]) + fy * gz * (d[3] - d[2])
        across += gy * fz * (d[5] - d[4]) + fy * fz * (d[7] - d[6])
        up = gx * gz * (d[2] - d[0]) + fx * gz * (d[3] - d[1])
        up += gx * fz * (d[6] - d[4]) + fx * fz * (d[7] - d[5])
        along = gx * gy * (d[4] - d[0]) + fx * gy * (d[5] - d[1])
        along += gx * fy * (d[6] - d[2]) + fx * fy * (d[7] - d[3])
        out[n, 0] += scale * across
        out[n, 1] += scale * up
        out[n, 2] += scale * along
