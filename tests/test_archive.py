"""Archives: what goes in and what does not, the same bytes twice, and unsound ones refused."""

import hashlib
import json
import re
import shutil
import stat
import subprocess
import zipfile

import pytest
from small_study import small_study_with_results

from boundary_research import DataError
from boundary_research.cli import main
from boundary_research.corpus.bundled import data_folder
from boundary_research.study._archive_files import Limits, check_formulas, extract_archive
from boundary_research.study._portable_study import make_portable
from boundary_research.study.archive import archive_study
from boundary_research.study.plan import load_plan
from boundary_research.study.replication import replicate


@pytest.fixture(scope="module")
def published():
    return small_study_with_results()


@pytest.fixture
def study(published, tmp_path):
    return shutil.copytree(published.parent, tmp_path / "copy") / "study"


@pytest.fixture(scope="module")
def archive(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "small.zip"
    return archive_study(published, path, include_narratives=True)


@pytest.fixture
def no_run(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the study was run")

    monkeypatch.setattr("boundary_research.study.run.run_study", refuse)


def append(path, text):
    path.write_text(path.read_text() + text)


def rewrite(archive, path, change):
    """Write a copy of an archive with its entries, name to bytes, changed."""
    with zipfile.ZipFile(archive) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as target:
        for name, content in entries.items():
            target.writestr(name, content)
    return path


def test_narratives_go_in_only_when_asked_for(study, tmp_path, capsys):
    out = tmp_path / "small.zip"
    assert main(["archive", str(study), "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds the narratives (incidents.csv)" in said
    assert "add --include-narratives" in said
    assert "share the folder 'output'" in said
    assert not out.exists()
    assert main(["archive", str(study), "-o", str(out), "--include-narratives"]) == 0
    said = capsys.readouterr().out
    assert "It holds narratives: give it only to people who may read them" in said
    assert "boundary-research replicate small.zip" in said


def test_bundled_fictional_narratives_are_known_by_their_hash(study, tmp_path):
    plan = load_plan(study)
    shutil.copyfile(data_folder() / "corpus/incidents.csv", plan.incidents["file"])
    manifest = json.loads((study / "output/manifest.json").read_text())
    with pytest.raises(DataError, match=r"incidents\.csv is not the file"):
        archive_study(study, tmp_path / "a.zip")
    digest = hashlib.sha256(plan.incidents["file"].read_bytes()).hexdigest()
    manifest["inputs"]["incidents"]["sha256"] = digest
    (study / "output/manifest.json").write_text(json.dumps(manifest))
    with zipfile.ZipFile(archive_study(study, tmp_path / "a.zip")) as opened:
        assert json.loads(opened.read("archive.json"))["narratives"] == "fictional, bundled"
        assert b"fictional ones that come with the toolkit" in opened.read("README.md")


def test_all_is_inside_and_hashed(archive, published, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert names == sorted(names)
        assert {info.date_time for info in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        opened.extractall(tmp_path)
    wanted = {"README.md", "SHA256SUMS", "archive.json", "study.yaml", "output/manifest.json"}
    wanted |= {
        "output/report.html",
        "output/tables/prevalence.csv",
        "output/figures/prevalence.png",
    }
    wanted |= {"sample.csv", "codebook.yaml", "tables/codings.csv"}
    wanted |= {"inputs/incidents.csv", "inputs/codings.csv"}
    assert wanted <= set(names)
    assert not [name for name in names if ".cache" in name or name.startswith(("/", ".."))]
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(": OK") == len(names) - 1
    for file in ("study.yaml", "README.md", "archive.json", "output/manifest.json"):
        assert str(published.parent) not in (tmp_path / file).read_text("utf-8")
    assert "boundary-research replicate small.zip" in (tmp_path / "README.md").read_text()


def test_paths_are_rewritten_and_nothing_else(archive, published, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    before = (published / "study.yaml").read_text()
    after = (tmp_path / "study.yaml").read_text()
    expected = before.replace("../material/incidents.csv", '"inputs/incidents.csv"')
    expected = expected.replace("../more/codings.csv", '"inputs/codings.csv"')
    assert after == expected
    inputs = load_plan(tmp_path).inputs()
    for name, path in load_plan(published).inputs().items():
        assert inputs[name].is_relative_to(tmp_path)
        if name != "study":
            assert inputs[name].read_bytes() == path.read_bytes()


def test_inputs_of_one_name_are_told_apart(study):
    (study / "output").rename(study / "elsewhere")
    text = (study / "study.yaml").read_text()
    text = text.replace("tables/codings.csv", "output/codings.csv")  # not below the results
    (study / "output").mkdir()
    shutil.copy(study / "tables/codings.csv", study / "output/codings.csv")
    (study / "study.yaml").write_text(text)
    portable = make_portable(load_plan(study))
    assert {"inputs/codings.csv", "inputs/2/codings.csv"} <= set(portable.files)
    assert len(portable.files) == 5


def test_another_seed_is_written_in_or_added(study):
    assert "\nseed: 9\n" in make_portable(load_plan(study), seed=9).text
    text = (study / "study.yaml").read_text().replace("seed: 3\n", "")
    (study / "study.yaml").write_text(text)
    assert make_portable(load_plan(study), seed=9).text.endswith("\nseed: 9\n")


def test_the_same_study_gives_the_same_bytes(archive, published, tmp_path):
    moved = shutil.copytree(published.parent, tmp_path / "moved") / "study"
    again = archive_study(moved, tmp_path / "small.zip", include_narratives=True)
    assert again.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: append(s / "study.yaml", "# new\n"), "was changed after the run"),
        (
            lambda s: append(s / "output/tables/prevalence.csv", "x"),
            "tables/prevalence.csv in 'output' is not as the run wrote it",
        ),
        (lambda s: append(s / "sample.csv", "\n"), "sample.csv is not the file"),
        (lambda s: shutil.rmtree(s / "output"), "Run the study first"),
    ],
)
def test_a_study_that_changed_since_its_run_is_not_archived(study, tmp_path, spoil, said):
    spoil(study)
    with pytest.raises(DataError, match=re.escape(said)):
        archive_study(study, tmp_path / "a.zip", include_narratives=True)
    assert not (tmp_path / "a.zip").exists()


def test_an_archive_is_reproduced_anywhere(archive, tmp_path, monkeypatch):
    folder = tmp_path / "quite another place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shutil.copy(archive, folder / "downloaded.zip")
    assert main(["replicate", "downloaded.zip", "--quiet"]) == 0
    assert (folder / "downloaded-replication/replication.html").is_file()
    assert {p.name for p in folder.iterdir()} == {"downloaded.zip", "downloaded-replication"}


def test_a_changed_input_of_an_archive_is_refused(archive, tmp_path, no_run):
    def change(entries):
        entries["sample.csv"] = entries["sample.csv"].replace(b"0.625", b"0.626", 1)

    with pytest.raises(DataError, match=r"sample\.csv is not the file"):
        replicate(rewrite(archive, tmp_path / "a.zip", change))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../outside.csv", "leads out of the folder"),
        ("a/../../outside.csv", "leads out of the folder"),
        ("/etc/outside.csv", "absolute path"),
        ("C:/outside.csv", "absolute path"),
        ("..\\outside.csv", "absolute path"),
        ("STUDY.yaml", "stands twice"),
    ],
)
def test_entries_that_lead_out_are_refused(archive, tmp_path, no_run, name, said):
    bad = rewrite(archive, tmp_path / "a.zip", lambda entries: entries.update({name: b"x"}))
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match=said):
        extract_archive(bad, folder)
    assert not list(folder.iterdir())
    with pytest.raises(DataError, match=said):
        replicate(bad)
    assert not list(tmp_path.rglob("outside.csv"))


def test_links_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as target:
        info = zipfile.ZipInfo("study.yaml")
        info.create_system = 3
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        target.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        extract_archive(path, tmp_path / "out")


def test_limits_are_kept(archive, tmp_path):
    with pytest.raises(DataError, match="at most 3 files"):
        extract_archive(archive, tmp_path, limits=Limits(files=3))
    with pytest.raises(DataError, match="MB are unpacked"):
        extract_archive(archive, tmp_path, limits=Limits(total_bytes=1000))
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("study.yaml", b"0" * (5 << 20))
    with pytest.raises(DataError, match="200 times its size"):
        extract_archive(bomb, tmp_path)


def test_what_is_no_archive_says_so(archive, tmp_path, capsys):
    (tmp_path / "a.zip").write_bytes(b"not a zip file")
    assert main(["replicate", str(tmp_path / "a.zip")]) == 2
    assert "cannot be unpacked" in capsys.readouterr().err
    cut = archive.read_bytes()[: archive.stat().st_size // 2]
    (tmp_path / "cut.zip").write_bytes(cut)
    with pytest.raises(DataError, match="downloaded whole"):
        replicate(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as target:
        target.writestr("readme.txt", "x")
    with pytest.raises(DataError, match=r"holds no study\.yaml"):
        replicate(tmp_path / "other.zip")


def test_a_flipped_byte_is_found(archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo("inputs/incidents.csv")
    content = bytearray(archive.read_bytes())
    content[info.header_offset + len(info.filename) + 400] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract_archive(tmp_path / "a.zip", tmp_path / "out")


def test_a_plan_that_reads_outside_of_the_archive_is_refused(archive, tmp_path, no_run):
    other = tmp_path / "secret.csv"
    other.write_text("incident_id,narrative\n1,Nobody may read this.\n")

    def change(entries):
        text = entries["study.yaml"].decode()
        entries["study.yaml"] = text.replace("inputs/incidents.csv", str(other)).encode()

    with pytest.raises(DataError, match="lies outside of the archive"):
        replicate(rewrite(archive, tmp_path / "a.zip", change))


@pytest.mark.parametrize(
    "formula",
    [
        "~ setting + {setting.__class__}",
        "~ {__import__('os').system('true')}",
        "~ open(setting)",
        "~ setting.map(print)",
        "~ setting[0]",
        "~ (eval)(setting)",
        "~ C(setting, 'x')",
        "~ `setting`",
        "~ lambda",
    ],
)
def test_formulas_that_could_run_code_are_refused(archive, tmp_path, no_run, formula):
    with pytest.raises(DataError, match="could run code"):
        check_formulas({"risk_factors": [{"formula": formula}]}, source="a.zip")

    def change(entries):
        text = entries["study.yaml"].decode()
        quoted = json.dumps(formula)
        entries["study.yaml"] = text.replace(
            "{formula: ~ community,", f"{{formula: {quoted},"
        ).encode()

    with pytest.raises(DataError, match="could run code"):
        replicate(rewrite(archive, tmp_path / "a.zip", change))


@pytest.mark.parametrize(
    "formula",
    [
        "~ setting",
        "~ a*b + c:d - 1",
        "~ C(role) + log(age) + poly(age, 3)",
        "~ bs(age, 4.5) + I(a**2)",
    ],
)
def test_usual_formulas_are_taken(formula):
    check_formulas({"risk_factors": {"formula": formula}}, source="a.zip")
