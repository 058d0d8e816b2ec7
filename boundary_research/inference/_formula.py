"""From a one-sided formula to a design matrix, with the levels and counts behind each term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, check_columns
from boundary_research.inference._alignment import Codes
from boundary_research.inference._counts import held_back
from boundary_research.inference._moments import indicator

NOT_STATED = "not_stated"
_CELL_COLUMNS = [
    *("variable", "level", "reference", "category", "n_level", "n_gold_level"),
    *("n_gold_present", "n_clusters_level", "thin", "held_back"),
]


@dataclass
class Design:
    """A design matrix and what its columns mean.

    Attributes
    ----------
    X : shape (n, p)
    names : list of str
    levels : dict
        Column to (variable, level), for columns that mark a level of a variable.
    slopes : dict
        Column to variable, for columns that are a numeric variable as it stands.
    references : dict
        Variable to reference level.
    alone : set of str
        Variables that occur in one term only, so that changing them changes only their columns.
    frame : pandas.DataFrame
        The variables, cleaned.
    spec : formulaic model specification
    """

    X: np.ndarray
    names: list[str]
    levels: dict[int, tuple[str, str]]
    slopes: dict[int, str]
    references: dict[str, str]
    alone: set[str]
    frame: pd.DataFrame
    spec: Any

    def columns_of(self, variable: str) -> list[int]:
        """Return the columns that mark levels of a variable."""
        return [j for j, (name, _) in self.levels.items() if name == variable]


def parse_formula(formula: str, columns: pd.Index) -> tuple[Any, list[str]]:
    """Return the parsed formula and its variables, all of them columns of the incidents."""
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    if not isinstance(formula, str):
        raise DataError(f"formula must be text such as '~ setting + role', got {formula!r}.")
    try:
        parsed = Formula(formula)
    except FormulaicError as error:
        raise DataError(
            f"formula {formula!r} cannot be read: {str(error).splitlines()[0]} Write it one-sided, "
            f"such as '~ setting + role'."
        ) from None
    if hasattr(parsed, "lhs"):
        raise DataError(
            f"formula {formula!r} has a left-hand side. The outcome is each category; write only "
            f"'~ {str(parsed.rhs).removeprefix('1 + ')}'."
        )
    variables = sorted(str(name) for name in parsed.required_variables)
    check_columns(columns, variables, source=f"formula {formula!r}, table incidents")
    if not variables:
        raise DataError(f"formula {formula!r} names no variable. Write '~ setting', say.")
    return parsed, variables


def clean_variables(
    incidents: pd.DataFrame, variables: list[str], contrasts: Mapping[str, str] | None
) -> pd.DataFrame:
    """Return the variables, numbers as they are and all else as categories, reference first.

    `not_stated` becomes missing. The reference is what `contrasts` says, else the first level of an
    ordered categorical, else the most frequent level.
    """
    contrasts = dict(contrasts or {})
    for name in contrasts:
        check_choice(name, variables, name="contrasts: variable")
    clean: dict[str, pd.Series] = {}
    for name in variables:
        column = incidents[name].reset_index(drop=True)
        if pd.api.types.is_numeric_dtype(column) and name not in contrasts:
            clean[name] = column.astype(float)
            continue
        if isinstance(column.dtype, pd.CategoricalDtype):
            categories = column.cat.categories.astype(str)
            text = pd.Series(pd.Categorical.from_codes(column.cat.codes, categories))
            ordered = bool(column.cat.ordered)
        else:
            text = column.where(column.notna()).astype("string").str.strip().astype("category")
            ordered = False
        text = text.cat.remove_unused_categories()
        if NOT_STATED in text.cat.categories:
            # Not remove_categories, which would sort the levels that are left.
            text = text.cat.set_categories([c for c in text.cat.categories if c != NOT_STATED])
        levels = [str(level) for level in text.cat.categories]
        counts = text.value_counts()
        reference = levels[0] if ordered and levels else None
        if reference is None and levels:
            reference = str(counts.idxmax())
        if name in contrasts:
            reference = check_choice(
                str(contrasts[name]), levels, name=f"contrasts: level of {name}"
            )
        order = [level for level in levels if level == reference]
        order += [level for level in levels if level != reference]
        clean[name] = text.cat.set_categories(order, ordered=False)
    return pd.DataFrame(clean)


def build_design(parsed: Any, frame: pd.DataFrame, *, formula: str) -> Design:
    """Return the design of rows without missing values."""
    from formulaic.errors import FormulaicError

    frame = frame.reset_index(drop=True)
    references = {}
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            frame[name] = frame[name].cat.remove_unused_categories()
            found = list(frame[name].cat.categories)
            if len(found) < 2:
                raise DataError(
                    f"formula {formula!r}: {name} has "
                    f"{'only the level ' + repr(found[0]) if found else 'no stated level'} "
                    f"in these "
                    f"incidents, so nothing can be compared. Leave it out."
                )
            references[name] = found[0]
    try:
        matrix = parsed.get_model_matrix(frame, context={}, ensure_full_rank=True)
    except FormulaicError as error:
        raise DataError(
            f"formula {formula!r} cannot be evaluated: {str(error).splitlines()[0]}"
        ) from None
    names = [str(name) for name in matrix.columns]
    spec = matrix.model_spec
    uses: dict[str, int] = {}
    for variables in spec.term_variables.values():
        for variable in variables:
            uses[str(variable)] = uses.get(str(variable), 0) + 1
    levels, slopes = {}, {}
    for j, name in enumerate(names):
        for variable, reference in references.items():
            for form in (variable, f"C({variable})"):
                if name.startswith(f"{form}[T.") and name.endswith("]") and ":" not in name:
                    level = name[len(form) + 3 : -1]
                    if level in frame[variable].cat.categories and level != reference:
                        levels[j] = (variable, level)
        if name in frame.columns and name not in references:
            slopes[j] = name
    return Design(
        X=np.asarray(matrix, dtype=float),
        names=names,
        levels=levels,
        slopes=slopes,
        references=references,
        alone={name for name, count in uses.items() if count == 1},
        frame=frame,
        spec=spec,
    )


def count_cells(
    design: Design, codes: Codes, clusters: np.ndarray | None, min_cell: int
) -> pd.DataFrame:
    """Return one row for each variable, level and category with counts behind the estimates.

    Columns: variable, level, reference, category, n_level, n_gold_level, n_gold_present,
    n_clusters_level, thin (fewer than five gold codes of one kind) and held_back (few incidents in
    the level).
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in _CELL_COLUMNS}
    size = len(codes.categories)
    for variable, reference in design.references.items():
        column = design.frame[variable].cat
        codes_of_level = column.codes.to_numpy()
        levels = [str(level) for level in column.categories]
        n_level = np.bincount(codes_of_level, minlength=len(levels))
        at_gold = codes_of_level[codes.rows]
        n_gold = np.bincount(at_gold, minlength=len(levels))
        present = indicator(at_gold, len(levels)) @ codes.gold  # (L, K)
        n_clusters = np.full(len(levels), np.nan)
        if clusters is not None:
            size_of = int(clusters.max()) + 1
            key = codes_of_level.astype(np.int64) * size_of + clusters
            there = np.bincount(key, minlength=len(levels) * size_of).reshape(-1, size_of) > 0
            n_clusters[:] = there.sum(axis=1)
        one_a_level = {
            "level": np.array(levels, dtype=object),
            "n_level": n_level,
            "n_gold_level": n_gold,
            "n_clusters_level": n_clusters,
            "held_back": np.asarray(held_back(n_level, min_cell), dtype=bool),
        }
        for name, values in one_a_level.items():
            columns[name].append(np.repeat(values, size))
        count = size * len(levels)
        columns["variable"].append(np.full(count, variable, dtype=object))
        columns["reference"].append(np.full(count, reference, dtype=object))
        columns["category"].append(np.tile(np.array(codes.categories, dtype=object), len(levels)))
        columns["n_gold_present"].append(present.ravel())
        columns["thin"].append((np.minimum(present, n_gold[:, None] - present) < 5).ravel())
    if not design.references:
        return pd.DataFrame({name: [] for name in _CELL_COLUMNS})
    return pd.DataFrame({name: np.concatenate(values) for name, values in columns.items()})


def thin_columns(design: Design, cells: pd.DataFrame, categories: list[str]) -> np.ndarray:
    """Return the columns, shape (K, p), that compare a level with few gold codes of one kind."""
    thin = np.zeros((len(categories), len(design.names)), dtype=bool)
    few = {
        (str(row.category), str(row.variable), str(row.level))
        for row in cells[cells["thin"]].itertuples()
    }
    for j, (variable, level) in design.levels.items():
        reference = design.references[variable]
        for k, category in enumerate(categories):
            thin[k, j] = bool(few & {(category, variable, level), (category, variable, reference)})
    return thin


def check_cells(design: Design, cells: pd.DataFrame, clusters: np.ndarray | None) -> None:
    """Refuse levels without gold codes, and levels that are one cluster."""
    once = cells.drop_duplicates(["variable", "level"])
    empty = once[once["n_gold_level"] == 0]
    if len(empty):
        row = empty.iloc[0]
        raise DataError(
            f"{row['variable']} = {row['level']!r} has no gold codes, so its errors cannot be "
            f"corrected. Draw narratives of this level for human coding (stratify the sample by "
            f"{row['variable']}), or merge the level with another."
        )
    if clusters is None:
        return
    for variable in design.references:
        level = design.frame[variable].cat.codes.to_numpy()
        pairs = pd.DataFrame({"cluster": clusters, "level": level}).drop_duplicates()
        constant = len(pairs) == pairs["cluster"].nunique()
        rows = once[once["variable"] == variable]
        single = rows[rows["n_clusters_level"] < 2]
        if constant and len(single):
            row = single.iloc[0]
            numbers = ", ".join(
                f"{name} {int(count)}"
                for name, count in zip(rows["level"], rows["n_clusters_level"], strict=True)
            )
            raise DataError(
                f"{variable} = {row['level']!r} is one cluster (clusters a level: "
                f"{numbers}), so what "
                f"belongs to {variable} and what belongs to that cluster cannot be told "
                f"apart. Merge "
                f"levels until each has two clusters or more, or leave {variable} out."
            )
