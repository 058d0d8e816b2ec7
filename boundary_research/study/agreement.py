"""Agreement of a codings table or a store, written out as tables and a figure."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from boundary_research._checks import DataError, check_file, check_output_folder
from boundary_research._files import write_atomically, write_table
from boundary_research._tables import check_table
from boundary_research.coding.reliability import (
    agreement_table,
    confusion_of_categories,
    disagreement_table,
)
from boundary_research.coding.reliability_plots import plot_agreement

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def read_codings(path: str | Path) -> pd.DataFrame:
    """Return the codings of a CSV or Parquet table, or of a store (.sqlite).

    Raises
    ------
    DataError
        If the file is none of these or does not fit the codings table.
    """
    file = check_file(path, what="Codings")
    with file.open("rb") as stream:
        start = stream.read(16)
    if start.startswith(b"SQLite format 3"):
        from boundary_research.coding.store import CodingStore

        with CodingStore(file) as store:
            table = store.codings()
        if table.empty:
            raise DataError(f"Store {file.name!r} holds no submitted narrative yet.")
        return table
    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(file)
        else:
            table = pd.read_csv(file, dtype={"incident_id": str, "coder_id": str})
    except (ValueError, OSError) as error:
        raise DataError(
            f"{file.name!r} cannot be read as a table of codings ({type(error).__name__}). "
            f"Give a CSV or Parquet file, or a store."
        ) from None
    return check_table(table, "codings", source=file.name)


def _name_rows(confusion: pd.DataFrame) -> pd.DataFrame:
    """Return the confusion of categories with the row's category in a column, as files keep it."""
    return confusion.rename_axis(index="category", columns=None).reset_index()


def write_agreement(
    codings: str | Path, folder: str | Path, *, random_state: int = 0
) -> list[Path]:
    """Write agreement, disagreement and confusion tables and a figure, and return the paths."""
    import matplotlib.pyplot as plt

    table = read_codings(codings)
    shared = table.groupby("incident_id")["coder_id"].nunique()
    if not (shared > 1).any():
        done = table.groupby("coder_id")["incident_id"].nunique()
        each = ", ".join(f"{name} {count}" for name, count in done.items())
        raise DataError(
            f"No narrative was coded by two coders yet ({each}). Code on, then try again."
        )
    output = check_output_folder(folder)
    agreement = agreement_table(table, random_state=random_state)
    figure = cast("Figure", plot_agreement(agreement).figure)
    paths = [
        write_table(agreement, output / "agreement"),
        write_table(disagreement_table(table), output / "disagreement"),
        write_table(_name_rows(confusion_of_categories(table)), output / "confusion"),
        write_atomically(output / "agreement.png", partial(figure.savefig, dpi=150)),
    ]
    plt.close(figure)
    return paths
