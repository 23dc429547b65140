"""Figures of the bench: how cost grows, and how soon a translator is good and true."""

from __future__ import annotations

import pandas as pd

from lib.figures.style import NEUTRAL, Drawn, arm_colour, arm_name, styled, titled_sheet

_GROWTH = {"stack": ("#0072B2", "o", "decode into a stack"),
           "translation": ("#D55E00", "s", "translate a folder")}  # fmt: skip
_RECIPES = {"ours": ("cyclegan_texture", "this compendium"), "seed": ("grey", "as published")}


@styled
def growth_plot(table: pd.DataFrame, budget_mb: float) -> Drawn:
    """Seconds and memory against the number of images.

    Parameters
    ----------
    table
        Output of ``compendium.bench.growth.measure_growth``.
    budget_mb
        What a stack may take before it is mapped to a file.
    """
    detail = "one run each; grey: a line through the origin; dotted: the budget of the stack"
    sheet = titled_sheet(6.9, 2.4, "Cost against the number of images", "noise images", detail)
    time, memory = sheet.subplots(1, 2)
    for what, rows in table.groupby("what", sort=False):
        colour, marker, name = _GROWTH[what]
        time.plot(rows["images"], rows["seconds"], marker + "-", color=colour, label=name)
        memory.plot(rows["images"], rows["memory_mb"], marker + "-", color=colour)
        last = rows.iloc[-1]
        line = last["seconds"] * rows["images"] / last["images"]
        time.plot(rows["images"], line, color=NEUTRAL, lw=0.7, zorder=0)
    memory.axhline(budget_mb, color=NEUTRAL, ls=":", lw=1)
    time.set(xscale="log", yscale="log", xlabel="images", ylabel="seconds")
    memory.set(xscale="log", xlabel="images", ylabel="memory (MiB)")
    memory.set_ylim(0)
    for axes in (time, memory):
        axes.xaxis.set_major_formatter("{x:,.0f}")
    time.yaxis.set_major_formatter("{x:g}")
    time.legend()
    return sheet, table


@styled
def quality_plot(curves: pd.DataFrame, levels: pd.DataFrame, note: str, n: int) -> Drawn:
    """AUC against minutes of training, a line a training.

    Parameters
    ----------
    curves
        Columns recipe ("ours", "seed"), seed, minutes, auc.
    levels
        Columns seed, level: the AUC with 95 % of the final gain.
    """
    detail = f"n = {n} images; a line a training; dotted: 95 % of the final gain of our recipe"
    sheet = titled_sheet(5.2, 2.6, "AUC on ED1 against minutes of training", note, detail)
    axes = sheet.subplots()
    for level in levels["level"]:
        axes.axhline(level, color=NEUTRAL, ls=":", lw=0.8)
    for recipe, rows in curves.groupby("recipe", sort=False):
        arm, name = _RECIPES[recipe]
        for number, (_, own) in enumerate(rows.groupby("seed")):
            axes.plot(own["minutes"], own["auc"], color=arm_colour(arm), lw=1.3,
                      label=name if number == 0 else None)  # fmt: skip
    axes.set(xscale="log", xlabel="minutes of training", ylabel="AUC")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(loc="lower right")
    return sheet, curves


@styled
def fidelity_plot(curves: pd.DataFrame, note: str, n: int) -> Drawn:
    """AUC and SSIM inside the embryo against minutes, a line a training.

    Parameters
    ----------
    curves
        Columns arm, seed, minutes, auc, inside_ssim.
    """
    detail = f"n = {n} images; a line a training; minutes include the drawing of phantoms"
    sheet = titled_sheet(6.9, 2.6, "As good and as true as a CycleGAN, when?", note, detail)
    panels = sheet.subplots(1, 2)
    names = {"auc": "AUC", "inside_ssim": "SSIM to the truth, inside the embryo"}
    for axes, (measure, name) in zip(panels, names.items(), strict=True):
        for arm, rows in curves.groupby("arm", sort=False):
            for number, (_, own) in enumerate(rows.groupby("seed")):
                axes.plot(own["minutes"], own[measure], color=arm_colour(arm), lw=1.2,
                          label=arm_name(arm) if number == 0 else None)  # fmt: skip
        axes.set(xlabel="minutes", ylabel=name)
        axes.set_xlim(left=0)
    panels[0].legend(loc="lower right")
    return sheet, curves
