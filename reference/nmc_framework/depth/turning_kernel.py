"""CPU kernel of the turning view: pixels as small squares in space, the nearest one is seen."""

from __future__ import annotations

from nmc.machine_code import compiled

#: Widest square, in pixels to each side of its middle.
WIDEST = 4


@compiled(nogil=True)
def draw(points, colours, view, near, sizes, seen, image):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Draw points into a picture.

    Parameters: ``points`` (N, 3) float32; ``colours`` (N, 3) uint8; ``view`` (15,) float64, the
    rotation by rows, translation, focal length, principal point; ``near`` the least depth;
    ``sizes`` (N,) float32, sides of the squares in metres; ``seen`` (height, width) float32, inf,
    the depth of what is seen; ``image`` (height, width, 3) uint8. The last two are written.
    """
    height, width = seen.shape
    focal, cx, cy = view[12], view[13], view[14]
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        depth = view[6] * x + view[7] * y + view[8] * z + view[11]
        if not depth > near:
            continue
        scale = focal / depth
        u = (view[0] * x + view[1] * y + view[2] * z + view[9]) * scale + cx
        v = (view[3] * x + view[4] * y + view[5] * z + view[10]) * scale + cy
        if not (-WIDEST <= u < width + WIDEST and -WIDEST <= v < height + WIDEST):
            continue
        half = min(0.5 * sizes[n] * scale + 0.35, WIDEST)
        left, right = max(0, int(u - half + 0.5)), min(width, int(u + half + 0.5))
        top, bottom = max(0, int(v - half + 0.5)), min(height, int(v + half + 0.5))
        for row in range(top, bottom):
            for column in range(left, right):
                if depth < seen[row, column]:
                    seen[row, column] = depth
                    image[row, column, 0] = colours[n, 0]
                    image[row, column, 1] = colours[n, 1]
                    image[row, column, 2] = colours[n, 2]
