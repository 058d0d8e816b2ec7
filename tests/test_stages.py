"""Stages run again when, and only when, something they rest on changed."""

import json
from importlib import metadata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boundary_research import DataError
from boundary_research.study import stages as stages_module
from boundary_research.study._code_hashes import CodeBase, own_code, trace_function
from boundary_research.study._stage_cache import Part, Record, StageCache, decode, encode
from boundary_research.study.stages import Stage, StageRunner

CALLS = []


def read_numbers(*, place):
    CALLS.append("numbers")
    return {"table": pd.read_csv(place), "origin": {"file": place.name}}


def add(*, table, amount):
    CALLS.append("sum")
    return {"table": table + amount}


def halve(*, table):
    CALLS.append("half")
    return {"table": table // 2}


def describe(*, parts, title):
    CALLS.append("text")
    return {"text": f"{title}: {int(parts['table']['x'].sum())}".encode()}


def make_stages(folder, *, amount=2, title="sum"):
    return [
        Stage("numbers", read_numbers, context={"place": folder / "x.csv"}, stored=False),
        Stage(
            "sum",
            add,
            settings={"amount": amount},
            keys={"amount": "plan.amount"},
            needs={"table": "numbers.table"},
        ),
        Stage("half", halve, needs={"table": "sum.table"}),
        Stage(
            "text",
            describe,
            settings={"title": title},
            keys={"title": "title"},
            needs={"parts": "half.*"},
        ),
    ]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "x.csv").write_text("x\n1\n2\n")
    return tmp_path


def run(folder, *, cache=True, start=None, only=None, **plan):
    """Run the stages; return their text, the functions called, and what became of each."""
    CALLS.clear()
    store = StageCache(folder / ".cache" if cache else None)
    runner = StageRunner(make_stages(folder, **plan), store, start=start, only=only)
    runner.run()
    text = runner.values.get("text", {}).get("text")
    return text, list(CALLS), runner.states


def preview(folder, **options):
    runner = StageRunner(make_stages(folder, **options), StageCache(folder / ".cache"))
    runner.preview()
    return {name: (state.status, state.reason) for name, state in runner.states.items()}


def test_a_second_run_computes_nothing_and_gives_the_same(folder):
    first = run(folder)
    assert first[:2] == (b"sum: 3", ["numbers", "sum", "half", "text"])
    again = run(folder)
    assert again[:2] == (b"sum: 3", ["numbers"])
    assert {s.status for s in again[2].values()} == {"read", "cached"}
    assert run(folder, cache=False)[:2] == first[:2]


def test_a_changed_setting_reruns_its_stage_and_what_rests_on_it(folder):
    run(folder)
    assert run(folder, title="total")[:2] == (b"total: 3", ["numbers", "text"])
    text, calls, states = run(folder, amount=4, title="total")
    assert (text, calls) == (b"total: 5", ["numbers", "sum", "half", "text"])
    assert states["sum"].reason == "study.yaml plan.amount changed"
    assert states["half"].reason == "sum: table changed"


def test_a_result_that_comes_out_as_before_leaves_later_stages_alone(folder):
    run(folder)
    # With 2 added, 1 and 2 are 3 and 4; 0 and 3 are 2 and 5; both halve to 1 and 2.
    (folder / "x.csv").write_text("x\n0\n3\n")
    assert run(folder)[:2] == (b"sum: 3", ["numbers", "sum", "half"])


def test_a_touched_file_with_the_same_content_reruns_nothing(folder):
    run(folder)
    (folder / "x.csv").write_text("x\n1\n2\n")
    assert run(folder)[1] == ["numbers"]


def test_preview_says_what_would_run_and_why_and_writes_nothing(folder):
    assert not (folder / ".cache").exists()
    assert preview(folder)["sum"] == ("would run", "not run before")
    assert not (folder / ".cache").exists()
    run(folder)
    assert {status for status, _ in preview(folder).values()} == {"read", "cached"}
    changed = preview(folder, amount=5)
    assert changed["sum"] == ("would run", "study.yaml plan.amount changed")
    assert changed["half"] == ("would run", "needs sum")
    assert changed["text"] == ("would run", "needs half")
    both = preview(folder, amount=5, title="total")
    assert both["text"] == ("would run", "study.yaml title changed; needs half")


def test_start_reruns_from_a_stage_and_only_stops_at_one(folder):
    run(folder)
    assert run(folder, start="half")[1] == ["numbers", "half", "text"]
    assert run(folder, start="numbers")[1] == ["numbers", "sum", "half", "text"]
    text, calls, states = run(folder, only="half", amount=9)
    assert (text, calls) == (None, ["numbers", "sum", "half"])
    assert states["text"].status == "not needed"
    for name in ("start", "only"):
        with pytest.raises(
            DataError, match=r"stage 'haf' not found\. Available: numbers, sum, half"
        ):
            run(folder, **{name: "haf"})


def test_a_group_of_stages_is_named_by_what_comes_before_the_point(folder):
    made = make_stages(folder)
    made += [
        Stage(f"tests.{n}", add, settings={"amount": n}, needs={"table": "sum.table"}) for n in "12"
    ]
    runner = StageRunner(made, StageCache(), only="tests")
    assert runner.wanted == {"numbers", "sum", "tests.1", "tests.2"}


def test_from_the_first_stage_on_means_all(folder):
    made = [*make_stages(folder), Stage("apart", read_numbers, files={"place": folder / "x.csv"})]
    for start, status in ((None, "ran"), (None, "cached"), ("half", "cached"), ("numbers", "ran")):
        runner = StageRunner(made, StageCache(folder / ".cache"), start=start)
        runner.run()
        assert runner.states["apart"].status == status
    assert {state.status for state in runner.states.values()} == {"read", "ran"}


@pytest.mark.parametrize("what", ["objects", "stages"])
def test_every_damaged_entry_is_found_and_computed_again(folder, what):
    run(folder)
    kept = {p.name: p.read_bytes() for p in (folder / ".cache" / what).iterdir()}
    assert len(kept) == 3
    for name, content in kept.items():
        file = folder / ".cache" / what / name
        for damaged in (content[:-3], content.replace(content[20:21], b"\0"), b""):
            assert damaged != content
            file.write_bytes(damaged)
            text, calls, states = run(folder)
            assert text == b"sum: 3"
            assert len(calls) == 2
            assert "its cache entry is damaged" in {s.reason for s in states.values()}
            assert {p.name for p in (folder / ".cache" / what).iterdir()} == set(kept)


def test_a_record_that_was_edited_is_not_trusted(folder):
    run(folder)
    file = folder / ".cache/stages/sum.json"
    content = json.loads(file.read_text())
    content["seconds"] = 0
    file.write_text(json.dumps(content))
    assert StageCache(folder / ".cache").read_record("sum") is None


def test_an_interrupted_run_goes_on_where_it_stopped(folder, monkeypatch):
    def fail(**_):
        raise KeyboardInterrupt

    made = make_stages(folder)
    broken = [*made[:2], Stage("half", fail, needs=made[2].needs), made[3]]
    runner = StageRunner(broken, StageCache(folder / ".cache"))
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    assert run(folder)[:2] == (b"sum: 3", ["numbers", "half", "text"])


def test_code_and_versions_count(folder, monkeypatch):
    run(folder)
    code, versions = trace_function(add)

    def traced(code, versions):
        monkeypatch.setattr(stages_module, "trace_function", lambda function: (code, versions))
        return preview(folder)["sum"]

    assert traced(code, versions)[0] == "cached"
    status, reason = traced({"boundary_research.inference.risk": "0" * 64}, versions)
    assert status == "would run"
    assert "code changed (" in reason
    assert "inference.risk" in reason
    status, reason = traced(code, {**versions, "numpy": "1.0"})
    assert (status, reason) == ("would run", f"numpy {metadata.version('numpy')}, now 1.0")


def test_input_files_count_by_content_not_by_place(folder):
    def stage(name):
        return [Stage("file", read_numbers, files={"place": folder / name})]

    (folder / "y.csv").write_text("x\n1\n2\n")
    for name, status in (("x.csv", "ran"), ("y.csv", "cached")):
        runner = StageRunner(stage(name), StageCache(folder / ".cache"))
        runner.run()
        assert runner.states["file"].status == status
    (folder / "y.csv").write_text("x\n1\n3\n")
    runner = StageRunner(stage("y.csv"), StageCache(folder / ".cache"))
    runner.preview()
    assert runner.states["file"].reason == "input file place changed"


def test_pruning_keeps_what_records_name_and_nothing_else(folder):
    run(folder)
    cache = StageCache(folder / ".cache")
    before = {p.name for p in (folder / ".cache/objects").iterdir()}
    run(folder, amount=40)
    cache.prune(["sum", "half", "text"])
    after = {p.name for p in (folder / ".cache/objects").iterdir()}
    assert len(before) == len(after) == 3
    assert not before & after
    cache.prune(["sum"])
    assert [p.stem for p in (folder / ".cache/stages").iterdir()] == ["sum"]
    assert run(folder, amount=40)[1] == ["numbers", "half", "text"]


def test_the_cache_keeps_out_of_backups_and_version_control(folder):
    run(folder)
    assert (folder / ".cache/.gitignore").read_text() == "*\n"
    tag = (folder / ".cache/CACHEDIR.TAG").read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_content_that_vanishes_while_a_study_runs_is_told(tmp_path):
    cache = StageCache(tmp_path / ".cache")
    part = cache.put({"a": 1})
    assert cache.get(part) == {"a": 1}
    with pytest.raises(DataError, match="was changed while the study ran"):
        cache.get(Part("data", "0" * 64))


def test_a_place_that_cannot_hold_a_cache_is_told(tmp_path):
    (tmp_path / ".cache").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be made .*--no-cache"):
        StageCache(tmp_path / ".cache").write_record("a", Record("", {}, {}, "", "", 0.0))


# --- tables keep their bytes -------------------------------------------------------------------

CELLS = {
    "number": st.floats(allow_infinity=True) | st.none(),
    "whole": st.integers(-(2**60), 2**60),
    "text": st.text(max_size=5) | st.none(),
    "yes": st.booleans(),
    "mixed": st.none()
    | st.text(max_size=3)
    | st.integers(-9, 9)
    | st.booleans()
    | st.floats(-1, 1),
}


@given(
    rows=st.lists(st.fixed_dictionaries(CELLS), max_size=6),
    note=st.text(max_size=5),
)
@settings(max_examples=60)
def test_a_table_comes_back_with_the_same_bytes(rows, note):
    frame = pd.DataFrame(rows, columns=list(CELLS))
    frame["mixed"] = frame["mixed"].astype(object)
    frame.attrs = {"estimand": note, "n": 3}
    kind, content = encode(frame)
    again = decode(kind, content)
    assert kind == "table"
    surrogate = {"errors": "surrogatepass", "lineterminator": "\n"}
    assert again.to_csv(index=False, **surrogate) == frame.to_csv(index=False, **surrogate)
    assert again.attrs == frame.attrs
    assert encode(frame) == (kind, content)


@given(
    parents=st.lists(st.integers(0, 5), min_size=3, max_size=6),
    before=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    after=st.lists(st.integers(0, 3), min_size=6, max_size=6),
)
@settings(max_examples=40)
def test_any_graph_gives_the_same_values_from_the_cache(tmp_path_factory, parents, before, after):
    """Each stage adds to one before it; only those that rest on a change are computed."""
    folder = tmp_path_factory.mktemp("graph")
    ran = []

    def step(*, number, amount, **needs):
        ran.append(number)
        return {"value": {"sum": amount + sum(need["sum"] for need in needs.values())}}

    def make(amounts):
        return [
            Stage(
                f"s{i}",
                step,
                settings={"number": i, "amount": amounts[i]},
                needs={"parent": f"s{parent % i}.value"} if i else {},
            )
            for i, parent in enumerate(parents)
        ]

    def values(amounts, cache):
        ran.clear()
        runner = StageRunner(make(amounts), cache)
        runner.run()
        return [part["value"]["sum"] for part in runner.values.values()], list(ran)

    first, _ = values(before, StageCache(folder))
    fresh, _ = values(after, StageCache())
    cached, computed = values(after, StageCache(folder))
    assert cached == fresh
    for i, parent in enumerate(parents):
        moved = bool(i) and first[parent % i] != fresh[parent % i]
        assert (i in computed) == (before[i] != after[i] or moved)


# --- code --------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path):
    root = tmp_path / "shares"
    (root / "deep").mkdir(parents=True)
    files = {
        "steps.py": (
            "from __future__ import annotations\n"
            "import numpy as np\n"
            "from typing import TYPE_CHECKING\n"
            "from shares.deep.sums import total\n"
            "from shares import other\n"
            "if TYPE_CHECKING:\n"
            "    from shares.only_types import Thing\n"
            "LIMIT = 3\n"
            "def step(x: Thing) -> float:\n"
            "    '''Say what it does.'''\n"
            "    return helper(x) + LIMIT\n"
            "def helper(x):\n"
            "    return total(x)\n"
            "def apart(x):\n"
            "    from shares.late import late\n"
            "    return other.thing(x) + late\n"
        ),
        "deep/sums.py": "import scipy\nRULES = 'rules.yaml'\ndef total(x):\n    return sum(x)\n",
        "deep/rules.yaml": "a: 1\n",
        "other.py": "def thing(x):\n    return x\n",
        "late.py": "late = 1\n",
        "only_types.py": "class Thing: ...\n",
    }
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def change(package, name, old, new):
    text = (package / name).read_text()
    assert old in text
    (package / name).write_text(text.replace(old, new))
    return CodeBase(package)


def test_the_code_behind_a_function_is_found(package):
    code, libraries = CodeBase(package).trace("shares.steps", "step")
    assert set(code) == {"shares.steps:step", "shares.deep.sums"}
    assert libraries == {"scipy"}
    code, _ = CodeBase(package).trace("shares.steps", "apart")
    assert set(code) == {"shares.steps:apart", "shares.other", "shares.late"}


@pytest.mark.parametrize(
    ("name", "old", "new", "counts"),
    [
        ("steps.py", "LIMIT = 3", "LIMIT = 4", True),
        ("steps.py", "return total(x)", "return 2 * total(x)", True),
        ("deep/sums.py", "sum(x)", "max(x)", True),
        ("deep/rules.yaml", "a: 1", "a: 2", True),
        ("steps.py", "return helper(x) + LIMIT", "return helper(x) - LIMIT", True),
        (
            "steps.py",
            "    return helper(x) + LIMIT",
            "    # why\n    return helper(x)+LIMIT",
            False,
        ),
        ("steps.py", "Say what it does.", "Say it better.", False),
        ("steps.py", "def apart(x):", "def apart(x, y=1):", False),
        ("other.py", "return x", "return -x", False),
        ("only_types.py", "...", "x = 1", False),
    ],
)
def test_only_code_that_can_change_the_result_counts(package, name, old, new, counts):
    before = CodeBase(package).trace("shares.steps", "step")[0]
    after = change(package, name, old, new).trace("shares.steps", "step")[0]
    assert (before != after) == counts


def test_the_hash_of_all_sources_leaves_line_ends_alone(package):
    before = CodeBase(package).sources_sha256
    text = (package / "late.py").read_bytes().replace(b"\n", b"\r\n")
    (package / "late.py").write_bytes(text)
    assert CodeBase(package).sources_sha256 == before
    assert change(package, "late.py", "1", "2").sources_sha256 != before


def test_the_compiled_kernel_and_the_whole_way_down_are_part_of_the_code():
    code, libraries = own_code().trace("boundary_research.study._study_steps", "code_crossfitted")
    assert {
        "boundary_research.classifier.evaluation",
        "boundary_research.classifier.model",
        "boundary_research.classifier._linear",
        "boundary_research._tables",
    } <= set(code)
    assert {"numpy", "pandas", "sklearn"} <= libraries
    # What concerns reports, plans and regressions does not rerun the classifier.
    apart = ("inference.", "study.report", "study.plan", "study.stages", "study.registration")
    assert not [name for name in code if name.split(".", 1)[1].startswith(apart)]
    assert np.all([len(sha256) == 64 for sha256 in code.values()])
