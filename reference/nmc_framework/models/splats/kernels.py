"""CPU kernels of the rasteriser: which Gaussians a tile meets, their blending and its gradient.

Kerbl et al. 2023 (3D Gaussian splatting), section 6 and appendix C. A tile is a square of pixels of
one view; the kernels work tile by tile, so that tiles can be spread over threads and the sums come
in one order.
"""

from __future__ import annotations

import math

import numpy as np

from nmc.machine_code import compiled

#: Opacities below are not drawn, and none is above (appendix C).
FAINT, OPAQUE = 1 / 255, 0.99
#: Where less light than this is left, nothing behind counts (appendix C).
SPENT = 1e-4
#: Added to the variances in the picture, squared pixels: nothing is thinner than a pixel.
BLUR = 0.3
#: How far outside of the picture, as a share of it, the projection is still linearised where it is.
LIMIT = 0.15


@compiled(nogil=True)
def meet(means, spreads, opacities, view, near, corners, side):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return which Gaussians each tile of one view meets, front to back.

    Parameters: ``means`` (N, 3), ``spreads`` (N, 3, 3) covariances, ``opacities`` (N,), all of one
    floating type; ``view`` (18,) float64: world-to-camera rotation by rows, centre, focal lengths,
    principal point, width, height; ``near`` the least depth; ``corners`` (T, 2) the tiles' first
    pixels. Returns the Gaussians (P,) int64, and where each tile's begin in them, (T + 1,) int64.
    """
    count = len(means)
    depths = np.empty(count, np.float64)
    boxes = np.empty((count, 4), np.float64)
    seen = np.empty(count, np.int64)
    found = 0
    fx, fy, cx, cy, width, height = view[12:18]
    low_u, high_u = (-LIMIT * width - cx) / fx, ((1 + LIMIT) * width - cx) / fx
    low_v, high_v = (-LIMIT * height - cy) / fy, ((1 + LIMIT) * height - cy) / fy
    for n in range(count):
        if not opacities[n] > FAINT:
            continue
        x, y, z = means[n, 0] - view[9], means[n, 1] - view[10], means[n, 2] - view[11]
        depth = view[6] * x + view[7] * y + view[8] * z
        if not depth > near:
            continue
        u = (view[0] * x + view[1] * y + view[2] * z) / depth
        v = (view[3] * x + view[4] * y + view[5] * z) / depth
        au, av = min(max(u, low_u), high_u), min(max(v, low_v), high_v)
        # Rows of J W, the Jacobian of the projection times the rotation (equation 5).
        a = b = 0.0
        for i in range(3):
            for j in range(3):
                s = spreads[n, i, j]
                a += (view[i] - au * view[6 + i]) * s * (view[j] - au * view[6 + j])
                b += (view[3 + i] - av * view[6 + i]) * s * (view[3 + j] - av * view[6 + j])
        reach = 2 * math.log(opacities[n] / FAINT)
        wide = math.sqrt(reach * (a * (fx / depth) ** 2 + BLUR))
        high = math.sqrt(reach * (b * (fy / depth) ** 2 + BLUR))
        px, py = fx * u + cx, fy * v + cy
        if not (px + wide > 0 and px - wide < width and py + high > 0 and py - high < height):
            continue
        depths[found] = depth
        boxes[found, 0], boxes[found, 1] = px - wide, px + wide
        boxes[found, 2], boxes[found, 3] = py - high, py + high
        seen[found] = n
        found += 1
    order = np.argsort(depths[:found], kind="mergesort")
    starts = np.zeros(len(corners) + 1, np.int64)
    for turn in range(2):
        if turn:
            pairs = np.empty(starts[-1], np.int64)
        for t in range(len(corners)):
            left, top = corners[t, 0], corners[t, 1]
            met = 0
            for k in range(found):
                o = order[k]
                if (
                    boxes[o, 1] > left
                    and boxes[o, 0] < left + side
                    and boxes[o, 3] > top
                    and boxes[o, 2] < top + side
                ):
                    if turn:
                        pairs[starts[t] + met] = seen[o]
                    met += 1
            if not turn:
                starts[t + 1] = starts[t] + met
    return pairs, starts


@compiled(nogil=True, fastmath=True)
def _row(place, conic, opacity, left, side, y):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the first and last column, of a tile, in which a row meets a Gaussian; 0, 0: none."""
    a, b, c = conic[0], conic[1], conic[2]
    dy = y - place[1]
    reach = 2 * math.log(opacity / FAINT)
    under = b * b * dy * dy - a * (c * dy * dy - reach)
    if not under > 0:
        return 0, 0
    middle, half = place[0] - b * dy / a, math.sqrt(under) / a
    first = max(math.ceil(middle - half - left - 0.5), 0)
    last = min(math.floor(middle + half - left - 0.5) + 1, side)
    return int(first), int(max(last, first))


@compiled(nogil=True, fastmath=True)
def blend(places, conics, opacities, colours, starts, corners, side, seen, left):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the light of Gaussians to pixels (equation 3), and take from what is left.

    ``places`` (P, 2), ``conics`` (P, 3), ``opacities`` (P,), ``colours`` (P, 3) of the pairs of
    tile and Gaussian, front to back in each tile; ``starts`` (T + 1,), ``corners`` (T, 2).
    ``seen`` (T, side², 3) begins with zeros, ``left`` (T, side²) with ones.
    """
    for t in range(len(corners)):
        x0, y0 = corners[t, 0], corners[t, 1]
        for p in range(starts[t], starts[t + 1]):
            px, py = places[p, 0], places[p, 1]
            a, b, c = conics[p, 0], conics[p, 1], conics[p, 2]
            strength = opacities[p]
            for row in range(side):
                y = y0 + row + 0.5
                first, last = _row(places[p], conics[p], strength, x0, side, y)
                dy = y - py
                for column in range(first, last):
                    i = row * side + column
                    light = left[t, i]
                    if light < SPENT:
                        continue
                    dx = x0 + column + 0.5 - px
                    power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
                    alpha = min(strength * math.exp(power), OPAQUE)
                    share = light * alpha
                    seen[t, i, 0] += share * colours[p, 0]
                    seen[t, i, 1] += share * colours[p, 1]
                    seen[t, i, 2] += share * colours[p, 2]
                    left[t, i] = light - share


@compiled(nogil=True, fastmath=True)
def blend_gradient(pairs, tiles, made, given, room, result):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the gradient of what :func:`blend` read, (P, 9): place, conic, opacity, colour.

    ``pairs`` are its places, conics, opacities and colours, ``tiles`` its starts, corners and side;
    ``made`` what it made of seen and left, ``given`` their gradients. Front to back once more: what
    is behind a Gaussian is all that was seen, less what has been passed. ``room`` to work in is
    light (side²,) and what has been passed (side², 3).
    """
    places, conics, opacities, colours = pairs
    starts, corners, side = tiles
    seen, behind = made
    shown, shown_left = given
    light, passed = room
    for t in range(len(corners)):
        x0, y0 = corners[t, 0], corners[t, 1]
        light[:] = 1
        passed[:] = 0
        for p in range(starts[t], starts[t + 1]):
            px, py = places[p, 0], places[p, 1]
            a, b, c = conics[p, 0], conics[p, 1], conics[p, 2]
            strength = opacities[p]
            red, green, blue = colours[p, 0], colours[p, 1], colours[p, 2]
            g0 = g1 = g2 = g3 = g4 = g5 = g6 = g7 = g8 = strength * 0
            for row in range(side):
                y = y0 + row + 0.5
                first, last = _row(places[p], conics[p], strength, x0, side, y)
                dy = y - py
                for column in range(first, last):
                    i = row * side + column
                    before = light[i]
                    if before < SPENT:
                        continue
                    dx = x0 + column + 0.5 - px
                    power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
                    fall = math.exp(power)
                    alpha = min(strength * fall, OPAQUE)
                    share = before * alpha
                    r, g, u = shown[t, i, 0], shown[t, i, 1], shown[t, i, 2]
                    passed[i, 0] += share * red
                    passed[i, 1] += share * green
                    passed[i, 2] += share * blue
                    light[i] = before - share
                    g6 += share * r
                    g7 += share * g
                    g8 += share * u
                    if strength * fall >= OPAQUE:
                        continue
                    rest = (
                        r * (seen[t, i, 0] - passed[i, 0])
                        + g * (seen[t, i, 1] - passed[i, 1])
                        + u * (seen[t, i, 2] - passed[i, 2])
                        + shown_left[t, i] * behind[t, i]
                    )
                    slope = before * (r * red + g * green + u * blue) - rest / (1 - alpha)
                    g5 += slope * fall
                    steep = slope * alpha
                    g0 += steep * (a * dx + b * dy)
                    g1 += steep * (c * dy + b * dx)
                    g2 -= 0.5 * steep * dx * dx
                    g3 -= steep * dx * dy
                    g4 -= 0.5 * steep * dy * dy
            result[p, 0], result[p, 1] = g0, g1
            result[p, 2], result[p, 3], result[p, 4] = g2, g3, g4
            result[p, 5] = g5
            result[p, 6], result[p, 7], result[p, 8] = g6, g7, g8
