"""Pictures for players that cannot render: a model as it is seen from a pose, over a WebSocket.

The protocol, at ``/render/NAME``. The server begins with a JSON object: ``frames``, ``timescale``,
``width``, ``height`` and ``fov`` as a client may take them, ``pose`` of the first camera, or null,
``instants``, the most that a frame shows (1 unless frames are groups), and ``manifest``, the digest
of the package's manifest in base 16. A client sends JSON objects: ``frame``, ``instant`` of its
group, counted from 0 (the last one if there are fewer; 0 if it says none), ``pose`` (x, y, z in
scene units, yaw, pitch, roll in degrees, as of :class:`nmc_framework.cameras.Viewpoint`), ``width``
and ``height`` in pixels, ``fov`` (horizontal, in degrees) or ``intrinsics`` (fx, fy, cx, cy in
pixels; a part of a picture is a picture with another principal point), and, if it likes, ``id`` (a
whole number, which comes back), ``format`` (``webp``, ``jpeg`` or ``png``) and ``quality`` (1 to
100). For each picture the server sends an object with ``id``, ``frame``, ``instant``, ``width``,
``height`` and ``type``, and then the picture as one binary message. A request that came before an
older one was begun takes its place: that one gets no answer. What cannot be done is answered by an
object with ``id`` and ``error``.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmc_format.issues import FormatError
from nmc_tools.serve.facts import manifest_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    import nmc
    from nmc_framework.rendering.moments import Moment
    from nmc_tools.serve.counters import Metrics
    from nmc_tools.serve.files import Files
    from nmc_tools.serve.messages import Receive, Scope, Send

MOST_PIXELS = 2**21
FORMATS = {"webp": "image/webp", "jpeg": "image/jpeg", "png": "image/png"}

_FARTHEST = 1e9
_LONGEST = 1e6
"""Pixels of a focal length, or to a principal point."""
_NOT_FOUND, _REFUSED, _FULL = 4404, 4500, 4503
_CLIENTS = 16
"""At the same time; each has a model in memory."""


@dataclass(frozen=True)
class Wish:
    """A picture that is wanted; see the protocol above."""

    number: int | None
    frame: int
    instant: int
    pose: tuple[float, ...]
    width: int
    height: int
    fov: float | None
    intrinsics: tuple[float, ...] | None
    format: str
    quality: int


def parse_wish(text: str, frames: int) -> Wish:
    """Return what a client asks for.

    Raises
    ------
    ValueError
        If it is not what the protocol says, or more than a server gives.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is no JSON object") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - what a client sent
    pose = found.get("pose")
    if not isinstance(pose, list) or len(pose) != 6:
        raise ValueError("pose: expected x, y, z, yaw, pitch, roll")
    number, lens = found.get("id"), found.get("intrinsics")
    wish = Wish(
        None if number is None else int(_number(number, "id", -(2.0**53), 2.0**53, whole=True)),
        int(_number(found.get("frame"), "frame", 0, frames - 1, whole=True)),
        int(_number(found.get("instant", 0), "instant", 0, 2.0**31, whole=True)),
        tuple(_number(value, "pose", -_FARTHEST, _FARTHEST) for value in pose),
        int(_number(found.get("width"), "width", 1, 8192, whole=True)),
        int(_number(found.get("height"), "height", 1, 8192, whole=True)),
        _number(found.get("fov"), "fov", 1, 170) if lens is None else None,
        None if lens is None else _intrinsics(lens),
        str(found.get("format", "webp")),
        int(_number(found.get("quality", 80), "quality", 1, 100, whole=True)),
    )
    if wish.format not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}")
    if wish.width * wish.height > MOST_PIXELS:
        raise ValueError(f"a picture has {MOST_PIXELS} pixels at most")
    return wish


def _intrinsics(found: Any) -> tuple[float, ...]:
    if not isinstance(found, list) or len(found) != 4:
        raise ValueError("intrinsics: expected fx, fy, cx, cy")
    focal = tuple(_number(value, "intrinsics", 1e-3, _LONGEST) for value in found[:2])
    return focal + tuple(_number(value, "intrinsics", -_LONGEST, _LONGEST) for value in found[2:])


def _number(value: Any, name: str, low: float, high: float, *, whole: bool = False) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name}: expected a number from {low:g} to {high:g}")
    if whole and value != int(value):
        raise ValueError(f"{name}: expected a whole number")
    return float(value)


class Renderer:
    """A model of a package; one thread at a time."""

    def __init__(self, sequence: nmc.ChainSequence) -> None:
        from nmc_framework.cameras import packaged
        from nmc_framework.models import build
        from nmc_framework.rendering.moments import is_of_groups

        self._sequence = sequence
        self._model = build(sequence.family, sequence.configuration)
        self._cameras = packaged.cameras_in(sequence)
        self._loaded = -1
        self._shown: list[Moment] = []
        self._instants = int(sequence.configuration["instants"]) if is_of_groups(sequence) else 1

    def greeting(self) -> dict[str, Any]:
        """Return what a client is told first."""
        from nmc_framework.cameras import Viewpoint
        from nmc_framework.rendering import user_camera

        camera = user_camera(self._cameras, None, None)
        pose = None
        if self._cameras:
            view = Viewpoint.from_camera_to_world(self._cameras[0].camera_to_world)
            pose = [view.x, view.y, view.z, view.yaw, view.pitch, view.roll]
        return {
            "frames": len(self._sequence),
            "timescale": self._sequence.manifest.timescale,
            "width": camera.width,
            "height": camera.height,
            "fov": math.degrees(2 * math.atan(0.5 * camera.width / camera.fx)),
            "pose": pose,
            "instants": self._instants,
            "manifest": self._sequence.manifest.root.manifest_digest.hex(),
        }

    def picture(self, wish: Wish) -> tuple[bytes, int]:
        """Return a picture, in the format that is wanted, and the instant of its group.

        Raises
        ------
        FormatError
            If the frame is refused.
        """
        from PIL import Image

        from nmc_framework.cameras import Camera, Viewpoint
        from nmc_framework.rendering import render_image, user_camera
        from nmc_framework.rendering.moments import moments

        if self._loaded != wish.frame:
            self._loaded = -1
            self._model.load(self._sequence[wish.frame])
            self._shown = moments(self._sequence, [wish.frame])
            self._loaded = wish.frame
        pose, size = Viewpoint(*wish.pose).camera_to_world(), (wish.width, wish.height)
        if wish.intrinsics is None:
            camera = user_camera(self._cameras, size, wish.fov).at(pose)
        else:
            fx, fy, cx, cy = wish.intrinsics
            camera = Camera(fx, fy, cx, cy, *size, pose)
        if not self._shown:
            raise ValueError(f"frame {wish.frame} shows no instant")
        instant = min(wish.instant, len(self._shown) - 1)
        seen = render_image(self._model, camera, time=self._shown[instant].time)
        coded = io.BytesIO()
        options = {} if wish.format == "png" else {"quality": wish.quality}
        Image.fromarray(seen).save(coded, wish.format.upper(), **options)
        return coded.getvalue(), instant


class Rendering:
    """Answers WebSockets with pictures; all clients share one thread (ASGI)."""

    def __init__(self, files: Files, metrics: Metrics) -> None:
        self._files, self._metrics = files, metrics
        self._turn = asyncio.Lock()
        self._clients = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client."""
        await receive()  # that it wants to be connected
        if self._clients >= _CLIENTS:
            reason = "others are being rendered for; come again"
            await send({"type": "websocket.close", "code": _FULL, "reason": reason})
            return
        self._clients += 1
        try:
            await self._client(scope, receive, send)
        finally:
            self._clients -= 1

    async def _client(self, scope: Scope, receive: Receive, send: Send) -> None:
        import nmc

        package = self._files.shelf.package(scope["path_params"]["name"])
        if package is None or manifest_status(package) is None:
            reason = "there is no such package"
            await send({"type": "websocket.close", "code": _NOT_FOUND, "reason": reason})
            return
        try:
            sequence = await asyncio.to_thread(nmc.open, package)
        except FormatError as error:
            reason = str(error.finding.code)
            await send({"type": "websocket.close", "code": _REFUSED, "reason": reason})
            return
        with sequence:
            try:
                async with self._turn:
                    renderer = await asyncio.to_thread(Renderer, sequence)
            except Exception as error:
                reason = f"this package cannot be rendered here: {error}"[:120]
                await send({"type": "websocket.close", "code": _REFUSED, "reason": reason})
                return
            await send({"type": "websocket.accept"})
            await _say(send, await asyncio.to_thread(renderer.greeting))
            await self._converse(renderer, len(sequence), receive, send)

    async def _converse(
        self, renderer: Renderer, frames: int, receive: Receive, send: Send
    ) -> None:
        """Render the newest wish, until the client goes."""
        newest: list[Wish] = []  # one at most: what was not begun is not waited for
        asked, gone = asyncio.Event(), False

        async def draw() -> None:
            while await asked.wait() and not gone:
                asked.clear()
                wish = newest.pop()
                try:
                    async with self._turn:
                        data, instant = await asyncio.to_thread(renderer.picture, wish)
                except Exception as error:
                    words = str(error.finding) if isinstance(error, FormatError) else str(error)
                    await _say(send, {"id": wish.number, "error": words[:500]})
                    continue
                self._metrics.rendered += 1
                await _say(send, _described(wish, instant))
                await send({"type": "websocket.send", "bytes": data})

        drawing = asyncio.ensure_future(draw())
        try:
            while (message := await receive())["type"] == "websocket.receive":
                try:
                    newest[:] = [parse_wish(message.get("text") or "", frames)]
                    asked.set()
                except ValueError as error:
                    await _say(send, {"id": None, "error": str(error)})
        finally:
            gone = True
            asked.set()
            await asyncio.wait([drawing])
            drawing.exception()  # a client that is gone takes no answer


def _described(wish: Wish, instant: int) -> Mapping[str, Any]:
    return {
        "id": wish.number,
        "frame": wish.frame,
        "instant": instant,
        "width": wish.width,
        "height": wish.height,
        "type": FORMATS[wish.format],
    }


async def _say(send: Send, what: Mapping[str, Any]) -> None:
    await send({"type": "websocket.send", "text": json.dumps(what)})
