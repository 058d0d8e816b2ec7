"""Registration: a plan kept as it was before the results, and planned against run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from boundary_research._checks import DataError, check_file
from boundary_research._files import hash_file, write_text
from boundary_research._yaml import YamlReader
from boundary_research.study._plan_parts import (
    comparable_content,
    fill_defaults,
    hash_content,
    list_differences,
    relative_content,
)
from boundary_research.study._registration_rows import (
    ANALYSIS_COLUMNS,
    SAME,
    VERDICTS,
    Comparison,
    compare_analyses,
    compare_codebook,
    compare_gold,
    compare_plans,
    compare_tests,
    describe_training,
)

if TYPE_CHECKING:
    from boundary_research.study.plan import StudyPlan

__all__ = [
    "REGISTERED",
    "SAME",
    "VERDICTS",
    "Registration",
    "compare_registration",
    "describe_changes",
    "read_registration",
    "register_plan",
]

REGISTERED = "registered.yaml"
_HEAD = """\
# The plan of this study as it was registered. Do not edit it: the hash would no longer fit, and a
# run would refuse it. To show others that it was not made up afterwards, deposit it (or its hash)
# where the date is kept by somebody else, such as the Open Science Framework.
"""
_KEYS = ("registered_at", "gold_codes_there", "results_there", "codebook", "inputs", "plan")


@dataclass(frozen=True)
class Registration:
    """A plan as it was registered.

    Attributes
    ----------
    file : pathlib.Path
    registered_at : str
        Date and time (ISO 8601, UTC).
    sha256 : str
        Hash of all the rest.
    gold_codes_there, results_there : bool
        Whether gold codes, or results, were there when the plan was registered.
    codebook : dict
        id, version, sha256, categories.
    inputs : dict
        Hashes of the input files that were there, by short name.
    plan : dict
        The content of study.yaml.
    """

    file: Path
    registered_at: str
    sha256: str
    gold_codes_there: bool
    results_there: bool
    codebook: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)

    @property
    def when(self) -> str:
        """When the plan was registered, in words."""
        seen = "after results were there" if self.results_there else ""
        seen = seen or ("with gold codes there" if self.gold_codes_there else "before gold codes")
        return f"{self.registered_at[:10]}, {seen}"


def register_plan(plan: StudyPlan) -> Path:
    """Write ``registered.yaml`` beside study.yaml: the plan, its date and its hash.

    Parameters
    ----------
    plan : StudyPlan
        As from `check_plan` or `load_plan`.

    Raises
    ------
    DataError
        If a plan was registered already.
    """
    file = plan.folder / REGISTERED
    if file.exists():
        raise DataError(
            f"{file.name!r} is there already: a plan is registered once, and a run names what "
            f"differs from it. If an amendment was agreed on, keep the old file under another name "
            f"and register again."
        )
    inputs = {name: path for name, path in plan.inputs().items() if name != "study"}
    content = {
        "registered_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "gold_codes_there": not plan.pending,
        "results_there": (plan.output / "manifest.json").exists(),
        "codebook": plan.codebook_facts,
        "inputs": {name: hash_file(path) for name, path in inputs.items() if path.exists()},
        "plan": relative_content(plan.content),
    }
    told = yaml.safe_dump(
        {"sha256": hash_content(content), **content},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return write_text(file, _HEAD + told)


def read_registration(file: Path) -> Registration:
    """Return the plan that a ``registered.yaml`` holds.

    Raises
    ------
    DataError
        If the file is not one, or was edited after it was written.
    """
    file = check_file(file, what="Registered plan")
    reader = YamlReader(file.name, "Registered plan")
    try:
        content = yaml.safe_load(file.read_text("utf-8-sig"))
        fits = isinstance(content, dict) and {"sha256", *_KEYS} <= set(content)
    except (UnicodeDecodeError, yaml.YAMLError):
        fits = False
    if not fits:
        raise reader.fail((), "is no plan that check-study --register wrote. Restore or remove it.")
    parts = {key: content[key] for key in _KEYS}
    if hash_content(parts) != content["sha256"] or set(content) != {"sha256", *_KEYS}:
        raise reader.fail(
            ("sha256",),
            "the hash does not fit: the file was edited after registration. Restore it.",
        )
    return Registration(file=file, sha256=content["sha256"], **parts)


def describe_changes(plan: StudyPlan) -> list[str]:
    """Return the keys of study.yaml that differ from the registered plan; none without one."""
    if plan.registration is None:
        return []
    then, now = comparable_content(plan.registration.plan), comparable_content(plan.content)
    return list_differences(then, now)


def compare_registration(
    plan: StudyPlan,
    run_tables: Mapping[str, pd.DataFrame],
    *,
    inputs: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return what was registered beside what was run, item by item.

    A pure function: nothing is read or written. What was registered is the plan in
    ``registered.yaml`` where there is one (`plan.registration`), else study.yaml as it stands.
    What was run is read from the tables; so analyses that were made beside the plan, put among
    the tables under a name of their own, are named.

    Parameters
    ----------
    plan : StudyPlan
    run_tables : mapping of str to DataFrame
        The tables of a run (`StudyRun.tables`).
    inputs : mapping of str to str, optional
        SHA-256 of the inputs of the run by short name, as in the manifest.

    Returns
    -------
    pandas.DataFrame
        Columns item, registered, run (texts), verdict: as registered, more than registered, fewer
        than registered, differs, not registered, or not run.
    """
    rows = Comparison()
    now = fill_defaults(plan.content)
    then = now if plan.registration is None else fill_defaults(plan.registration.plan)
    compare_plans(rows, plan, describe_changes(plan), inputs)
    rows.add("seed", str(then["seed"]), str(now["seed"]))
    compare_codebook(rows, plan)
    compare_gold(rows, then, now, run_tables)
    rows.add(
        "classifier", describe_training(then["classifier"]), describe_training(now["classifier"])
    )
    start = "prevalence_by_"
    groups = [name.removeprefix(start) for name in run_tables if name.startswith(start)]
    rows.add_lists("shares by group", "grouping", list(then["prevalence"]["by"]), groups)
    tables = {
        name: table for name, table in run_tables.items() if set(table.columns) >= ANALYSIS_COLUMNS
    }
    compare_analyses(rows, then, now, tables)
    compare_tests(rows, plan, then, tables)
    return pd.DataFrame(rows.rows, columns=["item", "registered", "run", "verdict"])
