"""The files of a run: written only where they changed, and accounted for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boundary_research._checks import check_output_folder
from boundary_research._files import hash_file, write_atomically
from boundary_research.study._plan_parts import FILE_KEYS, is_file_name
from boundary_research.study.manifest import MANIFEST, find_lock, hash_model, write_manifest
from boundary_research.study.plan import StudyPlan
from boundary_research.study.provenance import (
    CRATE,
    PROV,
    RunFacts,
    StageFacts,
    describe_file,
    now_text,
    write_provenance,
)
from boundary_research.study.stages import CACHED, StageRunner

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

_ACCOUNTS = (MANIFEST, PROV, CRATE)


def plan_options(plan: StudyPlan) -> dict[str, Any]:
    """Return the whole plan as JSON-ready data, with file names only and without the output."""
    content = plan.to_dict()
    for *parents, last in FILE_KEYS:
        part: Any = content
        for name in parents:
            part = part.get(name, {})
        if is_file_name((*parents, last), part.get(last)):
            part[last] = Path(part[last]).name
    content.pop("output", None)
    return content | {"seed": plan.seed}


class RunFiles:
    """The output folder of a run.

    Attributes
    ----------
    withdrawn : bool
        Whether the accounts of an earlier run were removed because its files changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.withdrawn = False
        self._stages: dict[str, list[str]] = {}
        self._before = self._read_manifest()

    def _read_manifest(self) -> dict[str, str]:
        """Return the outputs of the run before this one."""
        try:
            content = json.loads((self.folder / MANIFEST).read_text("utf-8"))
            return {str(name): str(sha256) for name, sha256 in content["outputs"].items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return {}

    def _withdraw(self) -> None:
        """Remove the accounts, the manifest first: its presence means that a run is complete."""
        for name in _ACCOUNTS:
            self.withdrawn |= (self.folder / name).exists()
            (self.folder / name).unlink(missing_ok=True)

    def publish(self, files: Mapping[str, Mapping[str, bytes]]) -> None:
        """Write the files of each stage, where they are not there already."""
        for stage, made in files.items():
            self._stages[stage] = list(made)
            for name, content in made.items():
                path = self.folder / name
                if path.is_file() and hash_file(path) == hashlib.sha256(content).hexdigest():
                    continue
                self._withdraw()
                check_output_folder(path.parent)
                write_atomically(path, partial(_write_bytes, content=content))

    def _remove_stale(self, names: set[str]) -> None:
        """Remove what an earlier run made and this one does not, unless somebody changed it."""
        for name, sha256 in self._before.items():
            path = self.folder / name
            ours = name not in names and ".." not in Path(name).parts and path.is_file()
            if ours and hash_file(path) == sha256:
                self._withdraw()
                path.unlink()

    def finish(self, run: StudyRun, runner: StageRunner, started: datetime) -> None:
        """Write provenance and manifest of a complete run."""
        names = sorted({name for made in self._stages.values() for name in made})
        self._remove_stale(set(names))
        outputs = [describe_file(self.folder / name, name) for name in names]
        inputs = {k: describe_file(p, p.name) for k, p in run.plan.inputs().items()}
        stages = self._stage_facts(runner)
        facts = RunFacts(
            title=run.plan.title,
            description=" ".join(
                part
                for part in (
                    f"Results of a study of incident narratives, run with boundary-research "
                    f"{metadata.version('boundary-research')}: tables, figures and report.",
                    run.plan.notice,
                )
                if part
            ),
            version=metadata.version("boundary-research"),
            started=started.isoformat(timespec="milliseconds"),
            finished=now_text(),
            inputs=inputs,
            outputs=outputs,
            stages=stages,
            licence=run.plan.licence,
        )
        (self.folder / MANIFEST).unlink(missing_ok=True)
        write_provenance(self.folder, facts)
        write_manifest(
            self.folder,
            command="run",
            inputs=run.plan.inputs(),
            options=plan_options(run.plan),
            started=started,
            outputs={facts.name: facts.sha256 for facts in outputs},
            codebook={
                "id": run.codebook.id,
                "version": run.codebook.version,
                "sha256": run.codebook.content_hash,
            },
            seeds={"run": run.plan.seed}
            | ({"sampling": run.plan.sampling["seed"]} if "seed" in run.plan.sampling else {}),
            model={"sha256": hash_model(runner.read_content("model", "model"))},
            lock=find_lock(run.plan.folder),
            stages=_stage_times(runner),
        )

    def _stage_facts(self, runner: StageRunner) -> list[StageFacts]:
        found = []
        for name, state in runner.states.items():
            stage, record = runner.stages[name], state.record
            if record is None:
                continue
            named = [k.replace("model_file", "model") for k in stage.files]
            found.append(
                StageFacts(
                    name=name,
                    started=record.started,
                    finished=record.finished,
                    cached=state.status == CACHED,
                    inputs=named,
                    needs=stage.parents,
                    outputs=self._stages.get(name, []),
                )
            )
        return found


def _stage_times(runner: StageRunner) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "status": state.status,
            "started": state.record.started,
            "finished": state.record.finished,
            "seconds": state.record.seconds,
        }
        for name, state in runner.states.items()
        if state.record is not None
    }


def _write_bytes(path: Path, *, content: bytes) -> None:
    path.write_bytes(content)
