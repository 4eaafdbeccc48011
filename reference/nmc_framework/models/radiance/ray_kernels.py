"""CPU kernels along rays: placing samples in occupied cells, and compositing them."""

from __future__ import annotations

import numpy as np

from nmc.machine_code import compiled

_ONE = np.float32(1)


@compiled(nogil=True)
def place(origins, directions, near, far, offset, step, grid, corner, edge, contracted, room):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Place samples on rays, in occupied cells only; see :func:`.sampling.place`.

    Returns how many each ray has, and of all samples, ray by ray: the distance, the length of the
    ray that it stands for, and the point of the unit cube (M, 3).
    """
    side = grid.shape[0]
    count = np.zeros(origins.shape[0], np.int64)
    most = origins.shape[0] * room
    distance, length = np.empty(most, np.float32), np.empty(most, np.float32)
    unit = np.empty((most, 3), np.float32)
    half = edge * np.float32(0.5)
    inverse = _ONE / half if contracted else _ONE / edge
    total = 0
    for n in range(origins.shape[0]):
        t, reach, found = near[n], step, 0
        while t < far[n] and found < room:
            at = t + offset[n] * reach
            if at >= far[n]:
                break
            x = (origins[n, 0] + at * directions[n, 0] - corner[0]) * inverse
            y = (origins[n, 1] + at * directions[n, 1] - corner[1]) * inverse
            z = (origins[n, 2] + at * directions[n, 2] - corner[2]) * inverse
            long = reach
            t += reach
            if contracted:
                x, y, z = x - _ONE, y - _ONE, z - _ONE
                size = max(abs(x), abs(y), abs(z))
                reach = step
                scale = np.float32(0.25)
                if size > _ONE:
                    # As long as a step of the middle looks after contraction along the ray.
                    reach = step * size * size
                    scale = np.float32(0.25) * (np.float32(2) - _ONE / size) / size
                x = x * scale + np.float32(0.5)
                y = y * scale + np.float32(0.5)
                z = z * scale + np.float32(0.5)
            i = min(max(int(x * side), 0), side - 1)
            j = min(max(int(y * side), 0), side - 1)
            k = min(max(int(z * side), 0), side - 1)
            if grid[k, j, i]:
                distance[total], length[total] = at, long
                unit[total, 0], unit[total, 1], unit[total, 2] = x, y, z
                total += 1
                found += 1
        count[n] = found
    return count, distance[:total].copy(), length[:total].copy(), unit[:total].copy()


@compiled(nogil=True)
def weigh(starts, density, length, light, weights, left):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write what each sample contributes, and what light is left behind it, (M,) each.

    ``light`` (N,) is what each ray has before its first sample.
    """
    for n in range(starts.shape[0] - 1):
        through = light[n]
        for m in range(starts[n], starts[n + 1]):
            after = through * np.exp(-density[m] * length[m])
            weights[m] = through - after
            left[m] = after
            through = after


@compiled(nogil=True)
def composite(starts, weights, left, colour, distance, background, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write colour over the background, opacity and summed distance of each ray, ``out`` (N, 5)."""
    for n in range(starts.shape[0] - 1):
        first, last = starts[n], starts[n + 1]
        red = green = blue = far = np.float32(0)
        for m in range(first, last):
            w = weights[m]
            red += w * colour[m, 0]
            green += w * colour[m, 1]
            blue += w * colour[m, 2]
            far += w * distance[m]
        rest = left[last - 1] if last > first else _ONE
        out[n, 0] = red + rest * background[n, 0]
        out[n, 1] = green + rest * background[n, 1]
        out[n, 2] = blue + rest * background[n, 2]
        out[n, 3] = _ONE - rest
        out[n, 4] = far


@compiled(nogil=True)
def composite_back(  # type: ignore[no-untyped-def]  # pragma: no cover
    starts, weights, left, colour, length, background, gradient, spread, to_density, to_colour
):
    """Write the gradients of density (M,) and colour (M, 3) from those of ``out`` (N, 5).

    ``spread`` (M,) is the gradient that the weights have of their own, of the distortion.
    """
    for n in range(starts.shape[0] - 1):
        first, last = starts[n], starts[n + 1]
        if last == first:
            continue
        a, b, c, d = gradient[n, 0], gradient[n, 1], gradient[n, 2], gradient[n, 3]
        rest = left[last - 1]
        # What a little more density takes from all that is behind it.
        behind = rest * (a * background[n, 0] + b * background[n, 1] + c * background[n, 2] - d)
        for back in range(last - first):
            m = last - 1 - back
            w = weights[m]
            seen = a * colour[m, 0] + b * colour[m, 1] + c * colour[m, 2] + spread[m]
            to_colour[m, 0], to_colour[m, 1], to_colour[m, 2] = w * a, w * b, w * c
            to_density[m] = length[m] * (left[m] * seen - behind)
            behind += w * seen


@compiled(nogil=True)
def distortion(starts, weights, middle, width, scale, to_weights):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the summed distortion of rays, and write ``scale`` times its gradient (M,).

    The sum over all pairs of w_i w_j |s_i - s_j|, plus a third of the sum of w_i^2 times the width
    (Barron et al. 2022, equation 15), in one pass forth and one back (Sun et al. 2022, DVGOv2).
    """
    total = 0.0
    for n in range(starts.shape[0] - 1):
        first, last = starts[n], starts[n + 1]
        all_w = all_s = 0.0
        for m in range(first, last):
            all_w += weights[m]
            all_s += weights[m] * middle[m]
        before_w = before_s = 0.0
        for m in range(first, last):
            w, s = weights[m], middle[m]
            after_w, after_s = all_w - before_w - w, all_s - before_s - w * s
            pairs = s * before_w - before_s + after_s - s * after_w
            total += w * pairs + w * w * width[m] / 3.0
            to_weights[m] = scale * (2.0 * pairs + 2.0 / 3.0 * w * width[m])
            before_w += w
            before_s += w * s
    return total
