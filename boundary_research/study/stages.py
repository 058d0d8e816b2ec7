"""Stages: steps with declared inputs, of which a run repeats those only whose inputs changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError
from boundary_research._files import hash_file, hash_table
from boundary_research.study._code_hashes import trace_function
from boundary_research.study._plan_parts import hash_content, list_differences
from boundary_research.study._stage_cache import Part, Record, StageCache

READ = "read"
CACHED = "cached"
RAN = "ran"
WOULD_RUN = "would run"
NOT_NEEDED = "not needed"
# How a record's basis is told to people: part of the basis, and what is said of it.
_BASIS = ("settings", "files", "needs", "code", "versions")


@dataclass(frozen=True)
class Stage:
    """A step of a run: a function, and all that its result depends on.

    The function is called with what is declared here and nothing else, so that nothing that could
    change its result goes unnoticed.

    Parameters
    ----------
    name : str
    function : callable
        Takes the keys of the following mappings as keyword arguments, and returns a dict of
        results by name: tables, models, plain data or bytes.
    settings : mapping
        Plain data, from study.yaml.
    keys : mapping of str to str
        Where a setting stands in study.yaml, if it has another name there; blank for the top.
    files : mapping of str to pathlib.Path
        Input files; their content counts, not their place.
    needs : mapping of str to str
        Results of other stages: argument to ``stage.result``. ``stage.*`` gives all of them in a
        dict.
    context : mapping
        Arguments that do not change the result (where to report progress), or that are told
        by `settings` already.
    stored : bool
        False for stages that read the researcher's files: what they hold is not copied.
    """

    name: str
    function: Callable[..., dict[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    stored: bool = True

    @property
    def parents(self) -> list[str]:
        """The stages whose results are needed."""
        return list(dict.fromkeys(need.rsplit(".", 1)[0] for need in self.needs.values()))


@dataclass(frozen=True)
class StageState:
    """What became of a stage, or would.

    Attributes
    ----------
    stage, status, reason : str
        The status is read, cached, ran, would run or not needed.
    record : Record or None
        None where nothing was run.
    """

    stage: str
    status: str
    reason: str = ""
    record: Record | None = None


def _hash_unstored(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return hash_content([hash_table(value), [str(kind) for kind in value.dtypes]])
    return hash_content(value)


def _explain(before: Mapping[str, Any], now: Mapping[str, Any], keys: Mapping[str, str]) -> str:
    """Return in words what differs between two bases of a stage."""
    told = []
    settings = before["settings"]
    for name in dict.fromkeys([*settings, *now["settings"]]):
        old, new = settings.get(name), now["settings"].get(name)
        found = list_differences(old, new, keys.get(name, name))
        told += [f"study.yaml {key or name} changed" for key in found]
    changed = {
        part: [n for n in {**before[part], **now[part]} if before[part].get(n) != now[part].get(n)]
        for part in _BASIS[1:]
    }
    told += [f"input file {keys.get(name, name)} changed" for name in changed["files"]]
    told += [
        f"{now['needs'].get(name, before['needs'].get(name))[0]} changed"
        for name in changed["needs"]
    ]
    if changed["code"]:
        names = [name.split(":")[0].split(".", 1)[-1] for name in changed["code"]]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        told.append(f"code changed ({', '.join(names[:2])}{more})")
    for name in changed["versions"]:
        old, new = before["versions"].get(name, "none"), now["versions"].get(name, "none")
        told.append(f"{name} {old}, now {new}")
    reasons = list(dict.fromkeys(told)) or ["its inputs changed"]
    if len(reasons) > 4:
        reasons = [*reasons[:3], f"and {len(reasons) - 3} more"]
    return "; ".join(reasons)


class StageRunner:
    """Runs stages in their order, and takes from the cache what has not changed.

    A stage runs again when a setting, an input file, a result that it needs, the code it rests on
    or the version of a library is not what it was. A result that comes out as before leaves the
    later stages as they are. What is stored passes through the same form whether it was
    computed or found, so that the cache cannot change a number.

    Parameters
    ----------
    stages : sequence of Stage
        Each after those that it needs.
    cache : StageCache
    start : str, optional
        Run this stage, or all stages whose name begins with it and a point, and what rests on it,
        whatever the cache holds; the first stage for all.
    only : str, optional
        Run this stage and what it needs.
    tell : callable, optional
        Called with a line of text when a stage begins.

    Raises
    ------
    DataError
        If `start` or `only` is no stage.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        cache: StageCache,
        *,
        start: str | None = None,
        only: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.cache = cache
        self.values: dict[str, dict[str, Any]] = {}
        self.states: dict[str, StageState] = {}
        self._parts: dict[str, dict[str, str]] = {}
        self._tell = tell or (lambda text: None)
        self._again = self._descendants(self._find(start)) if start else set()
        self.wanted = self._ancestors(self._find(only)) if only else set(self.stages)

    def _find(self, name: str) -> set[str]:
        found = {stage for stage in self.stages if stage == name or stage.startswith(f"{name}.")}
        if not found:
            raise DataError(f"stage {name!r} not found. Available: {', '.join(self.stages)}.")
        return found

    def _descendants(self, names: set[str]) -> set[str]:
        # From the first stage on means all, and not only those that use its results.
        found = set(self.stages) if next(iter(self.stages)) in names else set(names)
        for stage in self.stages.values():
            if found & set(stage.parents):
                found.add(stage.name)
        return found

    def _ancestors(self, names: set[str]) -> set[str]:
        found = set(names)
        for stage in reversed(self.stages.values()):
            if stage.name in found:
                found |= set(stage.parents)
        return found

    def _resolve(self, need: str) -> list[tuple[str, str]]:
        stage, part = need.rsplit(".", 1)
        names = list(self._parts[stage]) if part == "*" else [part]
        return [(stage, name) for name in names if name in self._parts[stage]]

    def _basis(self, stage: Stage) -> dict[str, Any]:
        code, versions = trace_function(stage.function)
        needs = {}
        for name, need in stage.needs.items():
            for parent, part in self._resolve(need):
                needs[f"{name}.{part}"] = [_in_words(parent, part), self._parts[parent][part]]
        return {
            "settings": json.loads(json.dumps(stage.settings)),
            "files": {name: hash_file(path) for name, path in stage.files.items()},
            "needs": needs,
            "code": code,
            "versions": versions,
        }

    def _arguments(self, stage: Stage) -> dict[str, Any]:
        needed = {}
        for name, need in stage.needs.items():
            parent, part = need.rsplit(".", 1)
            own = self.values[parent]
            needed[name] = dict(own) if part == "*" else own.get(part)
        return {**stage.settings, **stage.files, **needed, **stage.context}

    def _look_up(self, stage: Stage, basis: dict[str, Any]) -> tuple[Record | None, str]:
        """Return the cached record of a stage; or None, and why it must run."""
        if self.cache.folder is None:
            return None, "no cache"
        record = self.cache.read_record(stage.name)
        if stage.name in self._again:
            return None, "asked for"
        if record is None:
            known = (self.cache.folder / "stages" / f"{stage.name}.json").exists()
            return None, "its cache entry is damaged" if known else "not run before"
        if record.key != hash_content(basis):
            return None, _explain(record.basis, basis, stage.keys)
        if not self.cache.is_sound(record):
            return None, "its cache entry is damaged"
        return record, ""

    def run(self) -> None:
        """Run the stages in their order; `values` and `states` hold what became of them."""
        for stage in self.stages.values():
            if stage.name not in self.wanted:
                self.states[stage.name] = StageState(stage.name, NOT_NEEDED)
            elif not stage.stored:
                self._read(stage)
            else:
                self._run_stored(stage)

    def _read(self, stage: Stage) -> None:
        self._tell(f"{stage.name} …")
        record, made = self._call(stage, {})
        self.values[stage.name] = made
        self._parts[stage.name] = {name: _hash_unstored(value) for name, value in made.items()}
        self.states[stage.name] = StageState(
            stage.name, READ, "read each time, never stored", record
        )

    def _run_stored(self, stage: Stage) -> None:
        basis = self._basis(stage)
        record, reason = self._look_up(stage, basis)
        status = CACHED
        if record is None:
            self._tell(f"{stage.name} …" + ("" if reason == "no cache" else f" ({reason})"))
            record, made = self._call(stage, basis)
            parts = {name: self.cache.put(value) for name, value in made.items()}
            record = Record(**{**vars(record), "parts": parts})
            self.cache.write_record(stage.name, record)
            status = RAN
        self._adopt(stage, record)
        self.states[stage.name] = StageState(stage.name, status, reason, record)

    def _call(self, stage: Stage, basis: dict[str, Any]) -> tuple[Record, dict[str, Any]]:
        started, clock = _now(), time.perf_counter()
        made = stage.function(**self._arguments(stage))
        seconds = round(time.perf_counter() - clock, 3)
        return Record(hash_content(basis), basis, {}, started, _now(), seconds), made

    def _adopt(self, stage: Stage, record: Record) -> None:
        parts: dict[str, Part] = record.parts
        self.values[stage.name] = {name: self.cache.get(part) for name, part in parts.items()}
        self._parts[stage.name] = {name: part.sha256 for name, part in parts.items()}

    def read_content(self, stage: str, part: str) -> bytes:
        """Return the stored bytes of a result of a stage that was run."""
        record = self.states[stage].record
        assert record is not None
        return self.cache.read_bytes(record.parts[part])

    def preview(self) -> None:
        """Fill `states` with what `run` would do; files are read, and nothing is computed."""
        for stage in self.stages.values():
            if stage.name not in self.wanted:
                self.states[stage.name] = StageState(stage.name, NOT_NEEDED)
                continue
            if not stage.stored:
                self._read(stage)
                continue
            # What a stage that would run makes is not known: its last results stand for it.
            record, reason = self._look_up(stage, self._basis(stage))
            waiting = [p for p in stage.parents if self.states[p].status == WOULD_RUN]
            reasons = [reason] if reason else []
            reasons += [f"needs {', '.join(waiting)}"] if waiting else []
            known = record or self.cache.read_record(stage.name)
            parts = known.parts if known else {}
            self._parts[stage.name] = {name: part.sha256 for name, part in parts.items()}
            status = WOULD_RUN if reasons else CACHED
            self.states[stage.name] = StageState(stage.name, status, "; ".join(reasons), record)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _in_words(stage: str, part: str) -> str:
    return stage if stage.rsplit(".", 1)[-1] == part else f"{stage}: {part}"
