import dataclasses

import pytest
import yaml

from boundary_research import DataError, load_codebook
from boundary_research.codebook.rendering import render_html, render_markdown

MINIMAL = {
    "id": "tiny",
    "name": "A tiny codebook",
    "version": "0.1",
    "categories": [
        {"id": "late", "label": "Lateness", "definition": "Came late."},
        {"id": "absent", "label": "Absence", "definition": "Never came."},
    ],
}


def write(path, content):
    path.write_text(
        content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    )
    return path


def test_bundled_codebook_is_whole():
    book = load_codebook()
    assert len(book) == 14
    assert {c.family for c in book} == {f.id for f in book.families}
    assert len(book.attributes) == 20
    for category in book:
        assert category.definition
        assert category.include
        assert category.exclude
        assert category.neighbour_rule
        assert category.indicators
        assert category.severity
        assert category.references
    known = dict(book.references)
    assert all(key in known for category in book for key in category.references)
    for pair in book.confusable_pairs:
        assert all(name in book for name in pair.categories)
    for attribute in book.attributes:
        assert "not_stated" in attribute.levels


def test_codebook_cannot_be_changed():
    book = load_codebook()
    with pytest.raises(dataclasses.FrozenInstanceError):
        book.version = "2"
    with pytest.raises(dataclasses.FrozenInstanceError):
        book.categories[0].label = "x"


def test_content_hash_ignores_layout_and_notices_content(tmp_path):
    first = load_codebook(write(tmp_path / "a.yaml", MINIMAL))
    spaced = yaml.safe_dump(MINIMAL, default_flow_style=True, width=40)
    assert load_codebook(write(tmp_path / "b.yaml", spaced)).content_hash == first.content_hash
    changed = {**MINIMAL, "version": "0.2"}
    assert load_codebook(write(tmp_path / "c.yaml", changed)).content_hash != first.content_hash


def test_users_own_codebook_needs_only_four_keys(tmp_path):
    book = load_codebook(write(tmp_path / "a.yaml", MINIMAL))
    assert book.category_ids == ["late", "absent"]
    assert "Lateness" in book._repr_html_()
    assert repr(book) == "<Codebook tiny 0.1: 2 categories>"


def test_none_and_unclear_are_reserved_without_being_listed(tmp_path):
    categories = [{**MINIMAL["categories"][0], "exclude": [{"text": "Ill.", "see": "none"}]}]
    book = load_codebook(write(tmp_path / "a.yaml", {**MINIMAL, "categories": categories}))
    assert book["late"].exclude[0].see == "none"
    taken = [{**MINIMAL["categories"][0], "id": "unclear"}]
    with pytest.raises(DataError, match="reserved"):
        load_codebook(write(tmp_path / "b.yaml", {**MINIMAL, "categories": taken}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nothing yet\n", "holds nothing"),
        ("a: [1,", "line 1: not valid YAML"),
        ("- 1\n- 2\n", "must be a mapping"),
        ("id: x\nname: y\nversion: 1\n", "key 'categories' is missing"),
        ("id: x\nname: y\nversion: 1\ncategories: []\n", "holds no category"),
        (
            "id: x\nname: y\nversion: 1\ncolour: red\ncategories: []\n",
            "line 4, key colour: unknown key",
        ),
        (
            "id: x\nname: y\nversion: 1\ncategories:\n- id: a\n  label: A\n  definition: d\n- id: a\n  label: B\n  definition: e\n",
            r"line 8, key categories\[2\].id: id 'a' stands twice",
        ),
        (
            "id: x\nname: y\nversion: 1\ncategories:\n- id: a\n  label: A\n  definition: d\n  severity: {5: far}\n",
            r"line 8, key categories\[1\].severity.5:",
        ),
        (
            "id: x\nname: y\nversion: 1\ncategories:\n- id: a\n  label: A\n  definition: d\n  exclude:\n  - {text: t, see: b}\n",
            "'b' not found. Available: a",
        ),
        (
            "id: x\nname: y\nversion: 1\nid: z\ncategories: []\n",
            "stands twice",
        ),
    ],
)
def test_errors_name_the_key_and_the_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        load_codebook(write(tmp_path / "bad.yaml", text))


def test_binary_file_is_no_codebook(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x81\x8d")
    with pytest.raises(DataError, match="not UTF-8"):
        load_codebook(tmp_path / "x.yaml")


def test_unknown_category_lists_what_there_is():
    with pytest.raises(DataError, match=r"'nothing' not found.*dual_social"):
        load_codebook()["nothing"]


def test_html_is_escaped(tmp_path):
    nasty = {**MINIMAL, "name": "<script>alert(1)</script>"}
    book = load_codebook(write(tmp_path / "a.yaml", nasty))
    for page in (True, False):
        assert "<script>" not in render_html(book, page=page)


def test_page_for_coders_holds_every_rule(tmp_path):
    book = load_codebook()
    page = book.write_page(tmp_path / "codebook.html").read_text("utf-8")
    text = render_markdown(book)
    for category in book:
        assert category.id in page
        assert category.id in text
        assert category.definition in text
