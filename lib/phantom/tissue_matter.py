"""What lies around the nuclei of a tissue: cytoplasm, cell borders, collagen, red cells, gaps."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from lib.phantom.nuclei_shapes import Nucleus
from lib.phantom.tissue_architecture import Architecture
from lib.phantom.tissue_textures import patch, texture

MEMBRANE = 0.9  # um
GLUED = ("epithelial", "mitosis")  # kinds whose cells touch each other


def surround(
    plan: Architecture, nuclei: list[Nucleus], her2: int, side: int, um: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Amounts in a field as if it had no nuclei, each float32 (S, S); names as in ``Tissue``.

    Parameters
    ----------
    nuclei : of which the cells are
    her2 : score of the membrane antigen, 0 to 3
    side, um : pixels of the field and their size
    """
    line = (np.arange(side, dtype=np.float32) + 0.5) * um
    y, x = np.meshgrid(line, line, indexing="ij")
    distance = plan.at("epithelium", y, x)
    lumen = plan.at("lumen", y, x)
    hollow = np.minimum(plan.at("fat", y, x), plan.at("vessel", y, x))

    def noise(kind: str) -> np.ndarray:
        return patch(kind, side, side, rng.random(2), um)

    def inside(far: np.ndarray) -> np.ndarray:
        return np.clip(0.5 - far / max(1.0, um), 0, 1)

    cells = inside(distance)
    solid = (1 - inside(lumen)) * (1 - inside(hollow))
    collagen, gaps = _collagen(plan, y, x, noise("patches"), um, rng)
    shrunk = np.clip(rng.uniform(-1.8, 0.5) + noise("patches"), 0, 1) * (not plan.benign)
    gaps = np.maximum(gaps, shrunk * np.exp(-(((distance - 1.6) / 1.2) ** 2)))
    stroma = (1 - cells) * solid * (1 - gaps)
    collagen = collagen + 0.3 * np.exp(-((np.minimum(distance - 0.6, hollow - 0.8) / 0.9) ** 2))

    bodies = cells * solid
    wavy = (0.9 * noise("patches"), 0.9 * noise("patches"))
    rings = _membranes(nuclei, y, x, distance, wavy, um) * bodies
    granular = np.clip(1 + 0.22 * noise("granules") + 0.22 * noise("patches"), 0.25, 1.8)
    body = rng.uniform(0.45, 0.85) if plan.benign else rng.uniform(0.5, 1.0)
    cytoplasm = bodies * (body * granular + 0.25 * rings)
    secretion = max(rng.uniform(-0.4, 0.4), 0) * np.clip(noise("patches") + 0.3, 0, 1)
    cytoplasm += secretion * granular * inside(lumen + 5)

    red = np.zeros_like(y)
    for cy, cx, radius in plan.red_cells:
        red = np.maximum(red, inside(np.hypot(y - cy, x - cx) - radius))
    patchy = np.clip(1 + (0.15 + 0.25 * (3 - her2)) * noise("patches"), 0, 1.5)
    antigen = her2 / 3 * patchy * (rings + 0.08 * bodies)
    maps = {
        "cytoplasm": cytoplasm,
        "fibres": stroma * collagen,
        "red_cells": red,
        "membrane_antigen": antigen,
        "ground": np.maximum(stroma + bodies, red),
    }
    return {name: amount.astype(np.float32) for name, amount in maps.items()}


def _collagen(plan: Architecture, y, x, patches, um: float, rng):
    """Amount of fibres in a stroma from loose to dense, and the gaps between them."""
    across, along = plan.at("across", y, x), plan.at("along", y, x)
    fine = texture("granules", across * 1.2, along / 7, rng.random(2), um)
    bundles = texture("granules", across / 3, along / 30, rng.random(2), um)
    dense = np.clip(rng.uniform(0.25, 0.85) + 0.25 * patches, 0.1, 1.1)
    strands = 0.6 * fine + 0.8 * bundles
    amount = dense * np.clip(0.85 + (0.45 - 0.2 * dense) * strands, 0.1, 1.8)
    gaps = np.clip(0.6 * (-0.2 - strands - 1.6 * dense), 0, 0.8)
    return amount, gaps


def _membranes(nuclei: list[Nucleus], y, x, distance, wavy, um: float) -> np.ndarray:
    """Where epithelial cells meet, half way between their nuclei, and their outer border."""
    wide = float(np.hypot(MEMBRANE, 0.6 * um))
    border = np.exp(-(((distance + 0.7) / wide) ** 2))
    cells = np.array([(n.y, n.x) for n in nuclei if n.kind in GLUED and not n.cap])
    if len(cells) > 1:
        points = np.stack([(y + wavy[0]).ravel(), (x + wavy[1]).ravel()], axis=-1)
        far, which = cKDTree(cells).query(points, k=2)
        apart = np.hypot(*(cells[which[:, 0]] - cells[which[:, 1]]).T)
        # Distance to the line half way: Pythagoras in the triangle of a point and two nuclei.
        half_way = (far[:, 1] ** 2 - far[:, 0] ** 2) / (2 * np.maximum(apart, 1))
        border = np.maximum(border, np.exp(-((half_way.reshape(y.shape) / (0.6 * wide)) ** 2)))
    return border * (MEMBRANE / wide)
