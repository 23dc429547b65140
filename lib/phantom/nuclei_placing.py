"""Where the nuclei of a tissue lie: rows in glands, crowds in nests, strays along fibres."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from lib.phantom.nuclei_shapes import Nucleus
from lib.phantom.tissue_architecture import SECOND_ROW, Architecture, raster

BESIDE = 8.0  # um beyond the field in which a nucleus may still reach into it
DEPTH = 6.2  # um from the basal border to the middle of an epithelial nucleus
# Grazed nuclei to each whole one: twice as many as sections of 4 um through nuclei of 8 have, so
# that not every round shape is a nucleus that somebody would draw.
CAPS = 0.35
BASAL = 1.6  # the same of a myoepithelial one
ANTIGEN = (0.3, 1.6)  # weakest and strongest of Ki67


@dataclass
class Places:
    """Points of a field, each (P,), and the nuclei put there so far.

    epithelium, lumen, fat, vessel : distances, as in ``Architecture``
    outward : direction of the shortest way out of the epithelium, rad
    fibre : direction of the collagen, rad
    away : um to the outline of the nearest nucleus
    area : um2 of a point
    """

    y: np.ndarray
    x: np.ndarray
    epithelium: np.ndarray
    lumen: np.ndarray
    fat: np.ndarray
    vessel: np.ndarray
    outward: np.ndarray
    fibre: np.ndarray
    away: np.ndarray
    area: float
    nuclei: list[Nucleus] = field(default_factory=list)

    def take(
        self, among: np.ndarray, radius: np.ndarray, rng, crowded: bool, most: float = np.inf
    ) -> np.ndarray:
        """Choose points that keep their radius from what is there and from each other.

        among : (K,) indices of points
        radius : (K,), um
        crowded : each takes the tightest place that is left; else any
        """
        chosen: list[int] = []
        y, x = self.y[among], self.x[among]
        room = self.away[among] - radius
        while len(chosen) < most:
            free = np.flatnonzero(room >= 0)
            if not len(free):
                break
            tight = crowded and chosen
            pick = free[room[free].argmin() if tight else rng.integers(len(free))]
            chosen.append(pick)
            far = np.sqrt((y - y[pick]) ** 2 + (x - x[pick]) ** 2) - radius[pick]
            np.minimum(room, far - radius, out=room)
            room[pick] = -1
        for pick in chosen:
            far = np.sqrt((self.y - y[pick]) ** 2 + (self.x - x[pick]) ** 2) - radius[pick]
            np.minimum(self.away, far, out=self.away)
        return among[chosen]

    def add(self, at, length, width, turn, kind: str, look: str, antigen) -> None:
        """Put nuclei at points; all but the names (n,)."""
        y, x = self.y[at].tolist(), self.x[at].tolist()
        rest = (np.asarray(part, float).tolist() for part in (length, width, turn, antigen))
        for py, px, long, wide, way, ki67 in zip(y, x, *rest, strict=True):
            self.nuclei.append(Nucleus(py, px, long, wide, way, kind, look, ki67))


def _places(plan: Architecture, rng) -> Places:
    y, x = raster(plan.field)
    keep = (y > -BESIDE) & (x > -BESIDE) & (y < plan.field + BESIDE) & (x < plan.field + BESIDE)
    shake = rng.uniform(-0.5, 0.5, (2, np.count_nonzero(keep)))
    maps = (m[keep] for m in (plan.epithelium, plan.lumen, plan.fat, plan.vessel))
    outward = np.arctan2(*(slope[keep] for slope in np.gradient(plan.epithelium)))
    fibre = np.arctan2(*(slope[keep] for slope in np.gradient(plan.across))) + np.pi / 2
    away = np.full(len(fibre), 99.0)
    return Places(y[keep] + shake[0], x[keep] + shake[1], *maps, outward, fibre, away, 1.0)


def place_nuclei(plan: Architecture, rng: np.random.Generator) -> list[Nucleus]:
    """Nuclei of a field, the uppermost first."""
    p = _places(plan, rng)
    if plan.benign:
        _rows(p, plan.rows, rng)
        _myoepithelium(p, rng)
    else:
        _crowd(p, rng)
    _endothelium(p, rng)
    _lymphocytes(p, rng, 0.2 if plan.benign else 0.4)
    _fibroblasts(p, rng, plan.benign)
    _caps(p, rng)
    return p.nuclei


def _antigen(share: float, count: int, rng) -> np.ndarray:
    """Ki67 of each nucleus: which are positive, and how strongly, is drawn for each."""
    strength = np.clip(np.exp(rng.normal(-0.2, 0.45, count)), *ANTIGEN)
    return np.where(rng.random(count) < share, strength, 0.0)


def _rows(p: Places, rows: int, rng) -> None:
    """Rows of cuboidal cells round a lumen."""
    share, size = rng.uniform(0.02, 0.10), rng.uniform(6.9, 8.0)
    for row in range(rows):
        ring = np.flatnonzero(np.abs(p.epithelium + DEPTH + SECOND_ROW * row) < 0.9)
        at = p.take(ring, size * rng.uniform(0.44, 0.62, len(ring)), rng, crowded=True)
        n = len(at)
        length = size * np.exp(rng.normal(0.12, 0.09, n))
        width = np.minimum(size * np.exp(rng.normal(-0.07, 0.07, n)), length)
        turn = p.outward[at] + rng.normal(0, 0.35, n)
        p.add(at, length, width, turn, "epithelial", "benign", _antigen(share, n, rng))


def _myoepithelium(p: Places, rng) -> None:
    """Flat nuclei along the basal side, not everywhere."""
    outer = np.flatnonzero(np.abs(p.epithelium + BASAL) < 0.6)
    few = rng.poisson(0.045 * len(outer))
    at = p.take(outer, rng.uniform(1.0, 5.0, len(outer)), rng, crowded=False, most=few)
    n = len(at)
    turn = p.outward[at] + np.pi / 2 + rng.normal(0, 0.12, n)
    p.add(at, rng.uniform(6.0, 9.5, n), rng.uniform(2.3, 3.3, n), turn, "myoepithelial",
          "myoepithelial", _antigen(0.01, n, rng))  # fmt: skip


def _crowd(p: Places, rng) -> None:
    """Large nuclei of unequal size that fill the nests; some divide."""
    share = rng.uniform(0.10, 0.60)
    size, spread = rng.uniform(8.8, 11.5), rng.uniform(0.08, 0.2)
    inside = np.flatnonzero((p.epithelium < -0.4 * size) & (p.lumen > 0.4 * size))
    each = np.clip(size * np.exp(rng.normal(0, spread, len(inside))), 7.0, 17.0)
    room = rng.uniform(0.46, 0.63) * rng.uniform(0.9, 1.2, len(inside))
    at = p.take(inside, each * room, rng, crowded=True)
    n = len(at)
    diameter = np.zeros(len(p.y))
    diameter[inside] = each
    long = np.exp(rng.uniform(0.02, 0.22, n))
    length, width = diameter[at] * long, diameter[at] / long
    turn = rng.uniform(0, np.pi) + rng.normal(0, 0.7, n)
    antigen = _antigen(share, n, rng)
    divide = rng.random(n) < rng.uniform(0.0, 0.06)
    rest = ~divide
    p.add(at[rest], length[rest], width[rest], turn[rest], "epithelial", "malignant",
          antigen[rest])  # fmt: skip
    m = np.count_nonzero(divide)
    p.add(at[divide], rng.uniform(8.0, 10.5, m), rng.uniform(3.0, 5.5, m),
          rng.uniform(0, np.pi, m), "mitosis", "mitosis", rng.uniform(0.9, 1.5, m))  # fmt: skip


def _endothelium(p: Places, rng) -> None:
    """Flat nuclei in the walls of vessels."""
    wall = np.flatnonzero(np.abs(p.vessel - 1.4) < 0.8)
    few = rng.poisson(0.05 * len(wall))
    at = p.take(wall, rng.uniform(1.5, 4.0, len(wall)), rng, crowded=False, most=few)
    n = len(at)
    middle = p.vessel.argmin()
    turn = np.arctan2(p.y[at] - p.y[middle], p.x[at] - p.x[middle]) + np.pi / 2
    p.add(at, rng.uniform(6.0, 10.0, n), rng.uniform(2.2, 3.2, n), turn, "stromal", "stromal",
          _antigen(0.01, n, rng))  # fmt: skip


def _stroma(p: Places, room: float) -> np.ndarray:
    """Points that lie ``room`` um or more from epithelium, fat and vessels."""
    return np.flatnonzero(np.minimum(np.minimum(p.epithelium, p.fat), p.vessel) > room)


def _lymphocytes(p: Places, rng, chance: float) -> None:
    """A dense cluster in the stroma, sometimes; strays, often."""
    stroma = _stroma(p, 2.5)
    if not len(stroma):
        return
    near = np.zeros(len(stroma), bool)
    if rng.random() < chance:
        middle = stroma[rng.integers(len(stroma))]
        wide = rng.uniform(10, 28)
        near = np.hypot(p.y - p.y[middle], p.x - p.x[middle])[stroma] < wide
    radius = rng.uniform(3.0, 4.6, len(stroma))
    at = p.take(stroma[near], radius[near], rng, crowded=True)
    few = rng.poisson(rng.uniform(0, 0.0012) * p.area * len(stroma))
    at = np.concatenate([at, p.take(stroma, radius, rng, crowded=False, most=few)])
    n = len(at)
    width = rng.uniform(5.6, 6.9, n)
    p.add(at, width * rng.uniform(1.0, 1.2, n), width, rng.uniform(0, np.pi, n), "lymphocyte",
          "lymphocyte", _antigen(0.03, n, rng))  # fmt: skip


def _fibroblasts(p: Places, rng, benign: bool) -> None:
    """Spindle nuclei along the fibres, plumper in the stroma of a tumour."""
    stroma = _stroma(p, 1.8)
    if not len(stroma):
        return
    few = rng.poisson(rng.uniform(0.0008, 0.0036) * p.area * len(stroma))
    at = p.take(stroma, rng.uniform(1.8, 3.5, len(stroma)), rng, crowded=False, most=few)
    n = len(at)
    plump = np.exp(rng.normal(0.0 if benign else 0.15, 0.2, n))
    turn = p.fibre[at] + rng.normal(0, 0.2, n)
    p.add(at, rng.uniform(8.0, 15.5, n) / np.sqrt(plump), 3.0 * plump, turn, "stromal", "stromal",
          _antigen(0.02, n, rng))  # fmt: skip


def _caps(p: Places, rng) -> None:
    """Nuclei that the section only grazes, between the others of their sort."""
    near = np.flatnonzero(np.minimum(np.minimum(p.lumen, p.fat), p.vessel) > 3.0)
    at = p.take(near, np.full(len(near), 1.5), rng, crowded=False,
                most=rng.poisson(CAPS * len(p.nuclei)))  # fmt: skip
    places = np.array([(n.y, n.x) for n in p.nuclei]).reshape(-1, 2)
    for place in at:
        y, x = float(p.y[place]), float(p.x[place])
        like = p.nuclei[np.hypot(*(places - (y, x)).T).argmin()]
        size, turn = rng.uniform(0.6, 0.95), like.turn + rng.normal(0, 0.3)
        length, width = size * like.length, size * like.width
        p.nuclei.append(
            replace(like, y=y, x=x, length=length, width=width, turn=turn, antigen=0.0, cap=True)
        )
