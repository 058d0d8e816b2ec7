import pandas as pd
import pytest

from boundary_research import DataError, load_codebook
from boundary_research.classifier.keywords import KeywordCoder


def test_words_of_label_and_indicators_count_once_in_any_form():
    coder = KeywordCoder(load_codebook())
    counts = coder.count(["He borrows money; she borrowed it too.", "The kettle was warm."])
    assert counts.loc[0, "financial_exploitation"] >= 2
    assert counts.loc[1].sum() == 0


def test_fitting_chooses_the_number_of_words_with_the_best_f1():
    book = load_codebook()
    texts = ["a gift", "a gift and a watch", "a gift and a present watch of forty dollars"] * 4
    codes = pd.DataFrame(False, index=range(12), columns=book.category_ids)
    codes["gifts_favours"] = [False, True, True] * 4
    coder = KeywordCoder(book).fit(texts, codes)
    assert coder.needed["gifts_favours"] == 2
    assert coder.predict(texts)["gifts_favours"].tolist() == [False, True, True] * 4


def test_text_is_no_code():
    book = load_codebook()
    codes = pd.DataFrame("no", index=range(3), columns=book.category_ids)
    with pytest.raises(DataError, match="column 'dual_social'"):
        KeywordCoder(book).fit(["a gift"] * 3, codes)


def test_missing_category_is_named():
    with pytest.raises(DataError, match="'dual_social' not found"):
        KeywordCoder(load_codebook()).fit(["x"], pd.DataFrame({"a": [True]}))
