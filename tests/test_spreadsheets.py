"""Cells that a spreadsheet would run are guarded, and read back as they were."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boundary_research._spreadsheets import guard_formula, unguard_formula


@given(st.text().filter(lambda text: not text.startswith("'")))
def test_what_was_guarded_is_read_back(text):
    assert unguard_formula(guard_formula(text)) == text


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_begins_with_a_sign_that_is_run(sign):
    stream = io.StringIO()
    csv.writer(stream).writerow([guard_formula(f"{sign}cmd|x")])
    cell = next(csv.reader(io.StringIO(stream.getvalue(), newline="")))[0]
    assert cell == f"'{sign}cmd|x"


@pytest.mark.parametrize("text", ["", "'", "'tis", "a=1", " =1", '"=1'])
def test_other_texts_are_left_alone(text):
    assert guard_formula(text) == text
    assert unguard_formula(text) == text
