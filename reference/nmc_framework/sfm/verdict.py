"""Whether a solved rig can be trusted: a verdict with its reasons, each a figure and its limits.

A small reprojection error says that what was used fits, not that it was right to use it: pictures
of a symmetric scene fit a wrong rig as well as the right one. The figures here say how much there
was to go by, whether everything that was matched agrees with the result, and whether other ways to
the result lead elsewhere. See decision 0036.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from nmc_framework.cameras.alignment import Alignment

Kind = Literal["sound", "doubtful", "wrong"]

_ORDER: tuple[Kind, ...] = ("sound", "doubtful", "wrong")
#: How many cameras or pairs a reason names.
_NAMED = 4


@dataclass(frozen=True)
class Limit:
    """Where a figure begins to be doubtful, and where wrong.

    ``low`` says that small figures are bad. ``wrong`` is None for a figure that alone proves
    nothing.
    """

    doubtful: float
    wrong: float | None = None
    low: bool = False

    def kind(self, figure: float) -> Kind:
        """Return what a figure says; one that is not a number is doubtful."""
        if figure != figure:  # noqa: PLR0124  # NaN
            return "doubtful"
        if self.wrong is not None and self._beyond(figure, self.wrong):
            return "wrong"
        return "doubtful" if self._beyond(figure, self.doubtful) else "sound"

    def score(self, figure: float) -> float:
        """Return 1 for a figure far from the limit, 0.5 at it, towards 0 beyond it."""
        if figure != figure:  # noqa: PLR0124  # NaN
            return 0.0
        ratio = (self.doubtful / max(figure, 1e-12)) if self.low else figure / self.doubtful
        return 1 - 0.5 * ratio if ratio < 1 else 0.5 / ratio

    def _beyond(self, figure: float, limit: float) -> bool:
        return figure < limit if self.low else figure > limit


#: The figures in the order in which they are told. What led to the numbers is in decision 0036.
LIMITS: Mapping[str, Limit] = {
    "known_centres": Limit(0.05, 0.15),
    "known_rotations": Limit(3.0, 15.0),
    "same_place": Limit(0.001, 0.25),
    "conflicts": Limit(0.07, 0.35),
    "posed_conflicts": Limit(0.35, 0.7),
    "posed_camera": Limit(0.6),
    "cycles": Limit(0.15, 0.5),
    "rivals": Limit(0.03),
    "rival_rotations": Limit(3.0),
    "rival_cameras": Limit(0.6, low=True),
    "unplaced": Limit(0.5, 0.5),
    "tracks": Limit(80.0, 15.0, low=True),
    "fewest_tracks": Limit(20.0, low=True),
    "posed_tracks": Limit(30.0, low=True),
    "joint": Limit(15.0, 6.0, low=True),
    "angle": Limit(1.5, 0.3, low=True),
    "error": Limit(0.6, 1.2),
    "focal_spread": Limit(1.6),
    "missing": Limit(0.2, 0.5),
}

_POSED = frozenset({"posed_conflicts", "posed_camera", "posed_tracks"})
#: What speaks against cameras that are known beforehand: they are not to be found, but may not be
#: those of the pictures, or have too little in common to be compared with them or adjusted. Places
#: that look alike contradict them, too, and do no harm.
OF_KNOWN_POSES = frozenset({"known_centres", "known_rotations", "error"}) | _POSED
#: What speaks against cameras that were found.
OF_FOUND_POSES = frozenset(LIMITS) - _POSED

_MEANINGS: Mapping[str, str] = {
    "known_centres": "mean distance to the known cameras, as a share of their extent",
    "known_rotations": "mean turn against the known cameras, in degrees",
    "same_place": "share of the cameras that stand where another one stands, looking the same way",
    "conflicts": "share of the verified correspondences that contradict the solution",
    "posed_conflicts": "share of the verified correspondences that contradict the given poses",
    "posed_camera": "the same of one camera alone, the worst",
    "posed_tracks": "points a camera sees, in the median, with the given poses",
    "unplaced": "cameras that could not be placed, and were not to be left out",
    "cycles": "share of the camera triplets whose rotations do not close to within 10 degrees",
    "rivals": "distance to another solution of like cost, as a share of the rig's extent",
    "rival_rotations": "turn against another solution of like cost, in degrees",
    "rival_cameras": "share of the cameras that another beginning places as well",
    "tracks": "points a camera sees, in the median",
    "fewest_tracks": "points that the poorest camera sees",
    "joint": "points that hold the weakest joint of the rig together",
    "angle": "degrees under which points are seen, in the median",
    "error": "mean reprojection error as a share of what a correspondence may be off",
    "focal_spread": "ratio of the longest to the shortest focal length",
    "missing": "share of the cameras that could not be placed",
}

_ADVICE: Mapping[str, str] = {
    "known_centres": "the rig found is not the known one",
    "known_rotations": "the rig found is not the known one",
    "same_place": "a repeated or symmetric scene folds onto itself",
    "conflicts": "places that look alike, or a part put together wrongly",
    "posed_conflicts": "the poses are not those of these pictures, or not exact",
    "posed_camera": "a camera has another one's pose, or its own is wrong",
    "posed_tracks": "too little to judge or adjust the poses by",
    "unplaced": "leave them out, or take pictures that have more in common",
    "cycles": "places that look alike were taken for one",
    "rivals": "the pictures allow several rigs",
    "rival_rotations": "the pictures allow several rigs",
    "rival_cameras": "the view graph is weak",
    "tracks": "too little to go by",
    "fewest_tracks": "too little to go by",
    "joint": "the view graph is weak",
    "angle": "the cameras stand too close together",
    "error": "wrong correspondences, or a lens model that does not fit",
    "focal_spread": "focal lengths are hardly determined",
    "missing": "the view graph is weak",
}


@dataclass(frozen=True)
class Reason:
    """One figure that was looked at.

    ``where`` names the cameras or pairs that it comes from, the worst first.
    """

    name: str
    figure: float
    where: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What the figure says by itself."""
        return LIMITS[self.name].kind(self.figure)

    @property
    def score(self) -> float:
        """1 far from its limit, 0.5 at it, towards 0 beyond it."""
        return LIMITS[self.name].score(self.figure)

    def text(self) -> str:
        """Return the reason as people read it."""
        limit = LIMITS[self.name]
        edge = limit.wrong if self.kind == "wrong" else limit.doubtful
        told = f"{_MEANINGS[self.name]}: {self.figure:.3g} (limit {edge:.3g})"
        if self.kind != "sound":
            told += f": {_ADVICE[self.name]}"
        if self.where and self.kind != "sound":
            more = f" and {len(self.where) - _NAMED} more" if len(self.where) > _NAMED else ""
            told += f" [{', '.join(self.where[:_NAMED])}{more}]"
        return told

    def as_json(self) -> dict[str, Any]:
        """Return the reason as JSON values; a figure that is not a number as null."""
        limit = LIMITS[self.name]
        figure = float(self.figure) if math.isfinite(self.figure) else None
        return {
            "name": self.name,
            "verdict": self.kind,
            "figure": figure,
            "doubtful": limit.doubtful,
            "wrong": limit.wrong,
            "below": limit.low,
            "meaning": _MEANINGS[self.name],
            "where": list(self.where),
        }


@dataclass(frozen=True)
class Verdict:
    """What all figures say together: the worst of them; two signs of one illusion prove it."""

    reasons: tuple[Reason, ...]

    @property
    def kind(self) -> Kind:
        """``"sound"``, ``"doubtful"`` or ``"wrong"``."""
        worst = max((_ORDER.index(reason.kind) for reason in self.reasons), default=0)
        folded = {r.name for r in self.reasons if r.kind != "sound"}
        if "same_place" in folded and folded & {"conflicts", "cycles", "rivals"}:
            return "wrong"
        return _ORDER[worst]

    @property
    def score(self) -> float:
        """The lowest score of all figures, 0 to 1; below 0.5 the verdict is not sound."""
        return min((reason.score for reason in self.reasons), default=1.0)

    @property
    def against(self) -> tuple[Reason, ...]:
        """The reasons that speak against the solution, the gravest first."""
        found = [reason for reason in self.reasons if reason.kind != "sound"]
        return tuple(sorted(found, key=lambda reason: -_ORDER.index(reason.kind)))

    def and_(self, more: Iterable[Reason]) -> Verdict:
        """Return the verdict with more reasons, in the usual order."""
        found = {reason.name: reason for reason in (*self.reasons, *more)}
        return Verdict(tuple(found[name] for name in LIMITS if name in found))

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {
            "verdict": self.kind,
            "score": round(self.score, 4),
            "reasons": [reason.as_json() for reason in self.reasons],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Verdict:
        """Read what :meth:`as_json` wrote; names that are not known are passed over."""
        reasons = [
            Reason(
                str(row["name"]),
                float("nan") if row["figure"] is None else float(row["figure"]),
                tuple(map(str, row["where"])),
            )
            for row in record["reasons"]
            if row["name"] in LIMITS
        ]
        return cls(()).and_(reasons)


def against_known(compared: Alignment) -> list[Reason]:
    """Return the reasons that a comparison with known cameras gives."""
    far = sorted(compared.offsets, key=lambda offset: -offset.centre)
    turned = sorted(compared.offsets, key=lambda offset: -offset.rotation)
    return [
        Reason("known_centres", compared.mean_centre, _names(far)),
        Reason("known_rotations", compared.mean_rotation, _names(turned)),
    ]


def _names(offsets: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(offset.name) for offset in offsets)
