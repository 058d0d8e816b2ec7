import json

import pandas as pd
import pytest

from boundary_research import DataError
from boundary_research._checks import check_file, check_fraction, check_random_state
from boundary_research._files import (
    hash_file,
    hash_table,
    write_atomically,
    write_json,
    write_table,
)


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = write_json(tmp_path / "a.json", {"x": 1})

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert json.loads(path.read_text()) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        write_json(tmp_path / "no" / "a.json", {})


def test_hashes_notice_content_and_names(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("1")
    first = hash_file(tmp_path / "d")
    assert hash_file(tmp_path / "d") == first
    (tmp_path / "d" / "a").rename(tmp_path / "d" / "b")
    assert hash_file(tmp_path / "d") != first
    frame = pd.DataFrame({"a": [1, 2]})
    assert hash_table(frame) == hash_table(frame.copy())
    assert hash_table(frame) != hash_table(frame[::-1])


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_tables_come_back(tmp_path, format):
    frame = pd.DataFrame({"a": ["x", "é"], "n": [1.5, 2.0]})
    path = write_table(frame, tmp_path / "t", format=format)
    back = pd.read_csv(path) if format == "csv" else pd.read_parquet(path)
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)
    with pytest.raises(DataError, match="Available: csv, parquet"):
        write_table(frame, tmp_path / "t", format="xml")


def test_checks_say_what_is_allowed(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        check_file(tmp_path, what="Input")
    with pytest.raises(DataError, match=r"must lie in \(0, 1\), got 1"):
        check_fraction(1, name="level")
    assert check_fraction(1, name="level", one=True) == 1
    with pytest.raises(DataError, match="whole number"):
        check_random_state("seed")
    assert check_random_state(3).random() == check_random_state(3).random()
