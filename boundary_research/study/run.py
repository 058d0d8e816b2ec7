"""Running a study: from study.yaml to coded incidents, estimates, figures and a report."""

from __future__ import annotations

import tempfile
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd
from threadpoolctl import threadpool_limits

from boundary_research._checks import check_output_folder
from boundary_research.classifier.decisions import CodedIncidents
from boundary_research.classifier.evidence import EVIDENCE_COLUMNS
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.codebook.model import Codebook, load_codebook
from boundary_research.corpus.incidents import LoadedIncidents
from boundary_research.study._run_files import RunFiles
from boundary_research.study._stage_cache import StageCache
from boundary_research.study._study_reading import join_incidents
from boundary_research.study._study_stages import REPORT, StudyStages, is_table_stage
from boundary_research.study.figures import StudyFigures, list_drawings
from boundary_research.study.plan import StudyPlan, load_plan
from boundary_research.study.stages import CACHED, StageRunner, StageState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CACHE = ".cache"


@dataclass
class StudyRun:
    """What a run made, in memory; the same stands in `folder`.

    Attributes
    ----------
    plan : StudyPlan
    codebook : Codebook
    folder : pathlib.Path
        The output folder.
    loaded : LoadedIncidents
    gold : DataFrame
        Gold codes with the probability of their draw.
    coding : CodedIncidents
    model : NarrativeClassifier
        Trained on all gold narratives, or the finished one.
    tables : dict of str to DataFrame
        Results tables.
    figures : mapping of str to matplotlib Figure
        Drawn when they are first taken.
    notes : list of str
    stages : list of StageState
        Which stage ran, was taken from the cache, and why.

    Notes
    -----
    After a run that was limited to a stage, what was not needed is not there: `coding` or `model`
    may be None, and tables and figures fewer.
    """

    plan: StudyPlan
    codebook: Codebook
    folder: Path
    loaded: LoadedIncidents
    gold: pd.DataFrame
    coding: CodedIncidents
    model: NarrativeClassifier
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: MutableMapping[str, Figure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stages: list[StageState] = field(default_factory=list)

    def __repr__(self) -> str:
        told = f"{len(self.tables)} tables, {len(self.figures)} figures"
        return f"<StudyRun {self.plan.title!r}: {told}>"

    def _repr_html_(self) -> str:
        notice = f"<p><em>{escape(self.plan.notice)}</em></p>" if self.plan.notice else ""
        rows = "".join(
            f"<tr><td style='text-align:left'><code>tables[{name!r}]</code></td>"
            f"<td>{len(table):,} rows</td></tr>"
            for name, table in self.tables.items()
        )
        drawn = ", ".join(f"<code>figures[{name!r}]</code>" for name in self.figures)
        return (
            f"<p><strong>{escape(self.plan.title)}</strong>: {len(self.loaded.incidents):,} "
            f"incidents, {self.gold['incident_id'].nunique():,} with gold codes, codebook "
            f"{escape(self.codebook.id)} {escape(self.codebook.version)}, seed {self.plan.seed}</p>"
            f"{notice}<table>{rows}</table><p>{drawn}</p>"
        )


class _Study:
    """One run of one study, while it lasts."""

    def __init__(
        self,
        path: str | Path,
        *,
        output: str | Path | None,
        progress: bool,
        use_cache: bool = True,
        start: str | None = None,
        only: str | None = None,
    ) -> None:
        self.plan = load_plan(path, output=output)
        self.codebook = load_codebook(self.plan.codebook)
        self.folder = Path(self.plan.output).expanduser()
        self.figures = StudyFigures()
        self._progress = progress
        self.declared = StudyStages(
            self.plan,
            self.codebook,
            figures=self.figures,
            assemble=self.assemble,
            collect=self.collect,
            progress=progress,
        )
        self.runner = StageRunner(
            self.declared.stages(),
            StageCache(self.folder / CACHE if use_cache else None),
            start=start,
            only=only,
            tell=self.say,
        )

    def say(self, text: str) -> None:
        """Print a line where progress is wanted."""
        if self._progress:
            print(f"  {text}", flush=True)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the results tables so far."""
        parts = {k: v for k, v in self.runner.values.items() if is_table_stage(k)}
        return {name: table for part in parts.values() for name, table in part.items()}

    def _coding(self) -> CodedIncidents | None:
        values = self.runner.values
        if "coding" not in values:
            return None
        coded = values["coding"]["coded"]
        evidence = values.get("evidence", {}).get(
            "evidence", pd.DataFrame(columns=EVIDENCE_COLUMNS)
        )
        rejects = values["incidents"]["rejects"]
        return CodedIncidents(coded, evidence, rejects, list(dict.fromkeys(coded["category"])))

    def assemble(self) -> StudyRun:
        """Return the run as far as it has come."""
        values, tables = self.runner.values, self.tables()
        self.figures.drawings = self.figures.drawings or list_drawings(
            tables,
            labels=self.declared.labels(),
            groups=self.plan.prevalence["by"],
            terms=self.declared.terms(),
        )
        return StudyRun(
            plan=self.plan,
            codebook=self.codebook,
            folder=self.folder,
            loaded=join_incidents(values["incidents"]),
            gold=values.get("gold", {}).get("gold", pd.DataFrame()),
            coding=cast(CodedIncidents, self._coding()),
            model=cast(NarrativeClassifier, values.get("model", {}).get("model")),
            tables=tables,
            figures=self.figures,
            stages=list(self.runner.states.values()),
        )

    def collect(self) -> dict[str, dict[str, bytes]]:
        """Return the files that hold the results of each stage that has been run."""
        files: dict[str, dict[str, bytes]] = {}
        values = self.runner.values
        coding = self._coding()
        if coding is not None:
            with tempfile.TemporaryDirectory() as name:
                made = {path.name: path.read_bytes() for path in coding.write(Path(name))}
            files["incidents"] = {"rejects.csv": made["rejects.csv"]}
            files["coding"] = {"coded.csv": made["coded.csv"]}
            if "evidence" in values:
                files["evidence"] = {"evidence.csv": made["evidence.csv"]}
        for stage, parts in values.items():
            if is_table_stage(stage):
                files[stage] = {
                    f"tables/{name}.csv": table.to_csv(index=False, lineterminator="\n").encode()
                    for name, table in parts.items()
                }
        files["figures"] = {f"figures/{n}": c for n, c in values.get("figures", {}).items()}
        files[REPORT] = dict(values.get(REPORT, {}))
        return {stage: made for stage, made in files.items() if made}


def run_study(
    path: str | Path,
    *,
    output: str | Path | None = None,
    progress: bool = False,
    use_cache: bool = True,
    start: str | None = None,
    only: str | None = None,
) -> StudyRun:
    """Run a study from its study.yaml and write everything into its output folder.

    Incidents and gold sample are read, agreement is measured, the classifier is cross-fitted and
    codes all incidents, shares and risk factors are estimated with the correction for its errors,
    and figures, tables, ``report.html`` and ``manifest.json`` are written, with the provenance of
    every file in ``prov.json`` and ``ro-crate-metadata.json``.

    A run is a graph of stages. What a stage made is kept in ``.cache`` in the output folder, and
    computed again only if something it rests on changed: a setting, an input, another stage's
    result, the code, or a library's version. An interrupted run goes on where it stopped. The
    numbers are the same with and without the cache. No narrative is kept in it; the model there
    has the words and n-grams of the gold narratives, as a model file has.

    Parameters
    ----------
    path : str or pathlib.Path
        study.yaml, or its folder.
    output : str or pathlib.Path, optional
        Another output folder than the plan names.
    progress : bool
        Print what is being done.
    use_cache : bool
        False computes everything, and neither reads nor writes a cache.
    start : str, optional
        Compute this stage and all that rests on it again, whatever the cache holds; ``incidents``
        for everything.
    only : str, optional
        Compute this stage and what it needs, and write what they make. Where that changes results
        of an earlier run, its manifest is removed, because it no longer holds.

    Returns
    -------
    StudyRun

    Raises
    ------
    DataError
        If the plan or a table does not fit; the message says what to do.
    """
    # One BLAS thread: small matrices gain nothing from more, and sums keep their order.
    with threadpool_limits(limits=1):
        started = datetime.now(UTC)
        study = _Study(
            path, output=output, progress=progress, use_cache=use_cache, start=start, only=only
        )
        if progress:
            print(study.plan.title, flush=True)
        check_output_folder(study.folder)
        return _run(study, started, whole=only is None)


def _run(study: _Study, started: datetime, *, whole: bool) -> StudyRun:
    runner, files = study.runner, RunFiles(study.folder)
    runner.run()
    files.publish(study.collect())
    kept = [name for name, state in runner.states.items() if state.status == CACHED]
    if kept:
        study.say(f"unchanged, from the cache: {', '.join(kept)}")
    run = study.assemble()
    if whole:
        files.finish(run, runner, started)
        runner.cache.prune(list(runner.stages))
        study.say(f"done: {study.folder / 'report.html'}")
    else:
        study.say(f"done, up to what was asked for: {study.folder}")
        if files.withdrawn:
            study.say("results of an earlier run changed; run the whole study for a manifest")
    return run


def preview_run(
    path: str | Path,
    *,
    output: str | Path | None = None,
    start: str | None = None,
    only: str | None = None,
    use_cache: bool = True,
) -> list[StageState]:
    """Return what `run_study` would do, stage by stage, and why; nothing is written.

    Parameters
    ----------
    path, output, start, only, use_cache
        As for `run_study`.

    Returns
    -------
    list of StageState
        In the order of the run. A stage that needs one that would run is said to run, too; it will
        not if that one comes out as before.
    """
    study = _Study(path, output=output, progress=False, use_cache=use_cache, start=start, only=only)
    study.runner.preview()
    return list(study.runner.states.values())


def describe_states(states: list[StageState]) -> str:
    """Return what became of stages, or would, as aligned lines of text."""
    first = max(len(state.stage) for state in states)
    second = max(len(state.status) for state in states)
    return "\n".join(
        f"{state.stage:<{first}}  {state.status:<{second}}  {state.reason}".rstrip()
        for state in states
    )
