"""Checks of a study.yaml that a schema cannot express, each with the line of its key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError
from boundary_research._files import hash_file
from boundary_research._tables import check_table
from boundary_research._yaml import KeyPath, YamlReader
from boundary_research.codebook.model import Codebook, load_codebook
from boundary_research.study._plan_parts import (
    ANALYSIS,
    FILE_KEYS,
    GOLD_FILES,
    is_file_name,
    list_analyses,
)

# Names of tables that a run writes anyway.
_TAKEN = (
    "checklist",
    "cooccurrence",
    "decisions",
    "metrics",
    "prevalence",
    "registration",
    "reliability",
    "sample",
)
_NAME = re.compile(r"`([^`]+)`|([^\W\d]\w*)")
_OWN_DESIGNS = ("simple", "stratified", "clusters", "two_phase")


class Problems:
    """The problems of one study.yaml.

    Parameters
    ----------
    reader : YamlReader
        Knows the line of every key.
    """

    def __init__(self, reader: YamlReader) -> None:
        self.reader = reader
        self._found: list[tuple[int, str]] = []
        self._paths: set[KeyPath] = set()

    def note(self, path: KeyPath, problem: str, broken: KeyPath | None = None) -> None:
        """Note a problem at `path`; `broken` is the value that cannot be used, if another."""
        probe = path
        while probe and probe not in self.reader.lines:
            probe = probe[:-1]
        line = self.reader.lines.get(probe, 1)
        self._found.append((line, str(self.reader.fail(path, problem))))
        self._paths.add(path if broken is None else broken)

    def sound(self, *path: str | int) -> bool:
        """Return whether nothing is wrong with the value at `path`, around it and within it."""
        return not any(
            noted == path[: len(noted)] or noted[: len(path)] == path for noted in self._paths
        )

    def __len__(self) -> int:
        return len(self._found)

    @property
    def messages(self) -> list[str]:
        """The messages, by line."""
        return [text for _, text in sorted(self._found, key=lambda found: found[0])]


def read_table(path: Path) -> pd.DataFrame:
    """Return a CSV or Parquet table with incident_id as text.

    Raises
    ------
    DataError
        If the file cannot be read as one.
    """
    try:
        if path.suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype={"incident_id": str}, keep_default_na=False, na_values=[""])
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path.name!r} cannot be read as a table ({type(error).__name__})."
        ) from None


def _at(content: dict[str, Any], path: tuple[str, ...]) -> Any:
    part: Any = content
    for key in path:
        part = part.get(key) if isinstance(part, dict) else None
    return part


def find_files(
    content: dict[str, Any], folder: Path, problems: Problems
) -> tuple[dict[tuple[str, ...], Path], list[tuple[str, ...]]]:
    """Return the files that a plan names, and those gold tables that are still to come.

    Gold tables are still to come where none of them is there: a plan can be checked and registered
    before anything was coded. Where some are, a missing one is a slip.
    """
    files: dict[tuple[str, ...], Path] = {}
    lost: list[tuple[str, ...]] = []
    for key in FILE_KEYS:
        value = _at(content, key)
        if key == ("output",) or not is_file_name(key, value) or not problems.sound(*key):
            continue
        target = (folder / Path(value).expanduser()).resolve()
        if target.is_dir() and key != ("incidents", "file"):
            problems.note(key, f"{value!r} is a folder; a file is needed.")
        elif target.exists():
            files[key] = target
        else:
            lost.append(key)
    coded = [key for key in files if key[0] == "gold"]
    pending = [key for key in lost if key[0] == "gold" and not coded]
    for key in lost:
        if key not in pending:
            near = sorted(p.name for p in (folder / str(_at(content, key))).parent.glob("*"))
            there = ", ".join(name for name in near if not name.startswith("."))
            hint = f" In that folder there are: {there[:200]}." if there else " Check the path."
            problems.note(key, f"{_at(content, key)!r} does not exist.{hint}")
    return files, pending


# Files by their short names, as in `sha256` and the manifest.
_INPUT_NAMES: dict[tuple[str, ...], str] = {
    ("incidents", "file"): "incidents",
    ("incidents", "only"): "only",
}
_INPUT_NAMES |= {("gold", key): key for key in GOLD_FILES}
_INPUT_NAMES |= {("codebook",): "codebook", ("classifier", "train_on"): "model"}


def check_hashes(
    content: dict[str, Any], files: dict[tuple[str, ...], Path], problems: Problems
) -> None:
    """Note input files whose hash is not the one that the plan states."""
    stated = content.get("sha256", {})
    named = {
        name: files.get(key)
        for key, name in _INPUT_NAMES.items()
        if is_file_name(key, _at(content, key))
    }
    for name, wanted in stated.items() if isinstance(stated, dict) else ():
        path = ("sha256", name)
        if not problems.sound(*path):
            continue
        if name not in named:
            problems.note(path, f"the plan names no such file. Files it names: {', '.join(named)}.")
        elif (file := named[name]) is not None and (found := hash_file(file)) != wanted:
            problems.note(
                path,
                f"{file.name} has sha256 {found}: it is not the file that the plan was written "
                f"for. Put the right file there, or correct the hash.",
            )


def check_codebook(
    content: dict[str, Any], files: dict[tuple[str, ...], Path], problems: Problems
) -> Codebook | None:
    """Return the codebook, or None where it cannot be read."""
    if not problems.sound("codebook"):
        return None
    try:
        return load_codebook(files.get(("codebook",)))
    except DataError as error:
        problems.note(("codebook",), f"cannot be used. {error}")
        return None


def check_recode(content: dict[str, Any], problems: Problems) -> None:
    """Note levels that are put into two new levels."""
    recode = _at(content, ("incidents", "recode")) or {}
    for name, rule in recode.items() if problems.sound("incidents", "recode") else ():
        seen: dict[Any, Any] = {}
        for new, levels in rule["levels"].items():
            for i, level in enumerate(levels):
                if level in seen:
                    problems.note(
                        ("incidents", "recode", name, "levels", new, i),
                        f"level {level!r} stands under {seen[level]!r}, too. Keep one.",
                    )
                seen[level] = new


def check_coders(content: dict[str, Any], problems: Problems) -> None:
    """Note coders that are listed twice, and coders of the gold part that are not listed."""
    coders = content.get("coders", [])
    if not coders or not problems.sound("coders"):
        return
    ids = [coder["id"] for coder in coders]
    for i, name in enumerate(ids):
        if name in ids[:i]:
            problems.note(("coders", i, "id"), f"coder {name!r} stands twice. Keep one.")
    named = _at(content, ("gold", "coders")) or []
    for i, name in enumerate(named if problems.sound("gold", "coders") else ()):
        if name not in ids:
            problems.note(
                ("gold", "coders", i),
                f"coder {name!r} is not among the coders. Available: {', '.join(ids)}.",
            )


def _words(formula: str) -> set[str]:
    """Return the names in a formula; those with blanks stand in backticks."""
    return {quoted or plain for quoted, plain in _NAME.findall(formula)}


def _analysis_path(content: dict[str, Any], i: int) -> KeyPath:
    return ("risk_factors", i) if isinstance(content["risk_factors"], list) else ("risk_factors",)


def check_analyses(content: dict[str, Any], problems: Problems) -> None:
    """Note names that clash, and options of an analysis that do not go together."""
    if "risk_factors" not in content or not problems.sound("risk_factors"):
        return
    analyses = list_analyses(content)
    names = []
    for i, analysis in enumerate(analyses):
        path = _analysis_path(content, i)
        name = analysis.get("name", ANALYSIS)
        if len(analyses) > 1 and "name" not in analysis:
            problems.note(path, "key 'name' is missing. Add it: several analyses need one each.")
        elif name in names or name in _TAKEN or name.startswith("prevalence_"):
            problems.note((*path, "name"), f"name {name!r} is taken. Choose another.")
        names.append(name)
        words = _words(analysis["formula"])
        for variable in analysis.get("contrasts", {}):
            if variable not in words:
                problems.note(
                    (*path, "contrasts", variable),
                    f"{variable!r} does not occur in the formula {analysis['formula']!r}.",
                )
        if "offset" in analysis and analysis.get("family", "logit") != "poisson":
            problems.note((*path, "offset"), "goes with family: poisson only.")
        general = _at(content, ("multiple_testing", "adjust"))
        if general and analysis.get("adjust", general) != general:
            problems.note(
                (*path, "adjust"),
                f"says {analysis['adjust']!r}, and multiple_testing.adjust {general!r}. "
                f"Keep one of them.",
            )


def check_comparisons(content: dict[str, Any], book: Codebook | None, problems: Problems) -> None:
    """Note comparisons that no analysis can make, and a negative control that is no category."""
    control = _at(content, ("negative_control", "category"))
    if book and control and problems.sound("negative_control") and control not in book:
        problems.note(
            ("negative_control", "category"),
            f"category {control!r} not found. Available: {', '.join(book.category_ids)}.",
        )
    if not problems.sound("comparisons") or not problems.sound("risk_factors"):
        return
    analyses = {one.get("name", ANALYSIS): one for one in list_analyses(content)}
    recode = _at(content, ("incidents", "recode")) or {}
    for i, one in enumerate(content.get("comparisons", [])):
        path = ("comparisons", i)
        name = one.get("analysis")
        if name is not None and name not in analyses:
            listed = ", ".join(analyses) or "none (risk_factors is not there)"
            problems.note((*path, "analysis"), f"{name!r} not found. Available: {listed}.")
            continue
        chosen = [analyses[name]] if name is not None else list(analyses.values())
        words = {word for part in chosen for word in _words(part["formula"])}
        if one["variable"] not in words:
            problems.note(
                (*path, "variable"),
                f"{one['variable']!r} occurs in no formula of risk_factors. Add it there, or "
                f"leave the comparison out.",
            )
        rule = recode.get(one["variable"]) if problems.sound("incidents", "recode") else None
        for key in ("level", "reference"):
            if rule and key in one and one[key] not in map(str, rule["levels"]):
                problems.note(
                    (*path, key),
                    f"{one[key]!r} is no level of {one['variable']!r}. "
                    f"Available: {', '.join(map(str, rule['levels']))}.",
                )
        fixed = {part.get("contrasts", {}).get(one["variable"]) for part in chosen} - {None}
        if "reference" in one and fixed and one["reference"] not in fixed:
            problems.note(
                (*path, "reference"),
                f"says {one['reference']!r}, and contrasts of the analysis {fixed.pop()!r}. "
                f"Make them the same.",
            )


def check_sample(
    content: dict[str, Any], files: dict[tuple[str, ...], Path], problems: Problems
) -> None:
    """Note what the part `sampling` says and the sample table does not bear out."""
    part, file = content.get("sampling"), files.get(("gold", "sample"))
    if not part or file is None or not problems.sound("sampling"):
        return
    try:
        sample = check_table(read_table(file), "sample", source=file.name)
    except DataError as error:
        problems.note(("gold", "sample"), f"cannot be used. {error}")
        return
    design, n = part["design"], len(sample)
    if part.get("n", n) != n:
        problems.note(("sampling", "n"), f"says {part['n']}, but {file.name} has {n} narratives.")
    told = set(sample["design"].astype(str)) if "design" in sample.columns else set()
    own = {name for text in told for name in _OWN_DESIGNS if text.startswith(name)}
    probability = sample["inclusion_probability"]
    problem = ""
    if own and design in _OWN_DESIGNS and design not in own:
        problem = f"column design of {file.name} says {', '.join(sorted(told))!r}"
    elif design == "all" and (probability < 1).any():
        problem = f"{file.name} has probabilities below 1"
    elif design == "simple" and probability.nunique() > 1:
        problem = f"{file.name} has {probability.nunique()} different probabilities"
    elif design == "stratified" and "stratum" not in sample.columns:
        problem = f"{file.name} has no column stratum"
    elif (
        design == "stratified"
        and (sample.groupby("stratum")["inclusion_probability"].nunique() > 1).any()
    ):
        problem = f"probabilities in {file.name} differ within a stratum"
    if problem:
        problems.note(
            ("sampling", "design"), f"says {design!r}, but {problem}. Say how it was really drawn."
        )
