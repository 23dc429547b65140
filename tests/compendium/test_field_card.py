"""The data card of fields of cells says who drew the cells and what was left out."""

import pandas as pd
import pytest

from compendium.field_card import field_card
from engine.results import RECORD, Finished
from lib.models.cell_parameters import CellParameters


@pytest.fixture
def audit(tmp_path):
    """A finished notebook with a split of seven real images; nobody drew cells in two of them."""
    tables = tmp_path / "tables"
    tables.mkdir()
    (tmp_path / RECORD).write_text("{}")
    rows = [(f"{n}.png", "flat", part, f"w{n}", "expert")
            for n, part in enumerate(["train", "train", "valid", "holdout"])]  # fmt: skip
    rows += [("a.png", "gel", "train", "v1", None), ("b.png", "gel", "train", "v1", None),
             ("c.png", "gel", "holdout", "v2", "model")]  # fmt: skip
    split = pd.DataFrame(rows, columns=["id", "domain", "split", "group", "drawn_by"])
    split.to_csv(tables / "split.csv", index=False)
    left = pd.DataFrame([("x.png", "gel", "blank"), ("y.png", "gel", "blank")],
                        columns=["id", "domain", "reason"])  # fmt: skip
    left.to_csv(tables / "excluded.csv", index=False)
    return Finished("07_cell_segmentation", tmp_path)


@pytest.fixture
def params():
    return CellParameters(
        study="cells", data_kind="table", data_dir="mine", source_domain="flat",
        target_window=150, image_size=64,
    )  # fmt: skip


def test_it_counts_images_groups_and_drawn_ones(audit, params):
    card = field_card(audit, params, "f00")
    assert "**Real** images, as the user brought them in `mine`." in card
    assert "`f00`" in card
    assert "not known to this compendium" in card
    assert "| flat | train | 2 | 2 | 2 |" in card
    assert "| gel | train | 2 | 1 | 0 |" in card
    assert "| gel | holdout | 1 | 1 | 1 |" in card


def test_it_says_who_drew_the_cells_and_what_a_network_drew_is_worth(audit, params):
    card = field_card(audit, params, "f00")
    assert "- expert: drawn by experts" in card
    assert "- model: output of a network" in card
    assert "- nobody: " in card
    assert "- simulation" not in card


def test_it_lists_what_was_left_out_and_the_windows(audit, params):
    card = field_card(audit, params, "f00")
    assert "| gel | blank | 2 |" in card
    assert "flat 0, gel 150" in card
    (audit.folder / "tables" / "excluded.csv").write_text("id,domain,reason\n")
    assert "## What was left out\n\nNothing." in field_card(audit, params, "f00")


def test_phantoms_are_said_to_be_no_cells(audit):
    card = field_card(audit, CellParameters(study="cells"), "f00")
    assert "**Synthetic.**" in card
    assert "not known to this compendium" not in card
