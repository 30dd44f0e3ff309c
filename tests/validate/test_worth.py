"""The published text score against NLTK and hand-worked numbers, and what it does not punish."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep import store
from misstep.validate.bleu import sentence_bleu
from misstep.validate.worth import worth

bleu = pytest.importorskip("nltk.translate.bleu_score", reason="needs the dev extra")
PAGE = json.dumps(store.schema("ocr-page"))
GOLD = '{"header": "Ata", "text": "Aos três dias do mês de março"}'
words = st.lists(st.sampled_from(["a", "b", "c", "d", "um", "dois"]), max_size=14)


@given(reference=words, hypothesis=words)
def test_bleu_is_that_of_nltk(reference: list[str], hypothesis: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        smooth = bleu.SmoothingFunction().method1
        theirs = bleu.sentence_bleu([reference], hypothesis, smoothing_function=smooth)
    assert sentence_bleu(reference, hypothesis) == pytest.approx(theirs, abs=1e-12)


def test_bleu_of_three_words_in_four_is_worked_by_hand() -> None:
    # 1-grams 3/3, 2-grams 2/2, 3-grams 1/1, no 4-gram: 0.1/1; brevity exp(1 - 4/3)
    want = 0.1**0.25 * 0.7165313105737893
    assert sentence_bleu(["a", "b", "c", "d"], ["a", "b", "c"]) == pytest.approx(want)


def test_equal_pages_score_one_in_everything() -> None:
    found = worth(GOLD, GOLD, PAGE)
    assert (found.text_score, found.character_errors, found.word_errors) == (1.0, 0, 0)
    assert (found.json_valid, found.schema_valid, found.exact) == (True, True, True)
    assert (found.fields, found.fields_right) == (2, 2)


def test_error_rates_are_edits_over_the_gold() -> None:
    found = worth('{"text": "abcd efgh"}', '{"text": "abxd"}', PAGE)
    assert (found.character_errors, found.characters) == (6, 9)
    assert (found.word_errors, found.words) == (2, 2)
    assert found.levenshtein == pytest.approx(1 - 6 / 9)


def test_values_are_joined_in_the_order_of_their_keys_and_empty_ones_left_out() -> None:
    assert worth(
        GOLD, '{"header": "Ata", "footer": "", "text": "Aos três dias do mês de março"}'
    ).exact
    turned = '{"text": "Aos três dias do mês de março", "header": "Ata"}'
    assert worth(GOLD, turned).text_score < 1.0


def test_the_text_score_does_not_punish_what_validity_does() -> None:
    wrong_field = worth(GOLD, '{"margin": "Ata", "body": "Aos três dias do mês de março"}', PAGE)
    assert wrong_field.text_score == 1.0
    assert (wrong_field.json_valid, wrong_field.schema_valid) == (True, False)
    assert wrong_field.fields_right == 0
    plain = worth(GOLD, "Ata\nAos três dias do mês de março", PAGE)
    assert plain.text_score == 1.0
    assert (plain.json_valid, plain.schema_valid) == (False, False)


def test_fenced_json_is_no_json() -> None:
    assert worth(GOLD, f"```json\n{GOLD}\n```", PAGE).json_valid is False


def test_plain_gold_has_no_validity_and_no_fields() -> None:
    found = worth("a b", "a c")
    assert (found.json_valid, found.schema_valid, found.fields) == (None, None, 0)


def test_fields_are_counted_by_place_in_nested_answers() -> None:
    gold = '{"total": 12, "lines": [{"sku": "A1", "n": 2}, {"sku": "B2", "n": 1}], "open": true}'
    answer = '{"total": 12.0, "lines": [{"sku": "A1", "n": "2"}, {"sku": " B2", "n": 1}]}'
    found = worth(gold, answer)
    assert (found.fields, found.fields_right) == (6, 3)


def test_both_empty_are_alike_in_letters_and_have_no_words() -> None:
    assert worth("", "").levenshtein == 1.0
    assert worth("", "").bleu4 == 0.0


@given(st.text(), st.text())
def test_no_answer_is_too_strange(gold: str, answer: str) -> None:
    found = worth(gold, answer, PAGE)
    assert 0.0 <= found.text_score <= 1.0
    assert 0 <= found.fields_right <= found.fields


@pytest.mark.parametrize("depth", [253, 254, 300, 1020])
def test_an_answer_nested_beyond_what_can_be_written_is_compared_as_text(depth: int) -> None:
    deep = f'{{"text": {"[" * depth}1{"]" * depth}}}'
    found = worth(GOLD, deep, PAGE)
    assert found.json_valid is (depth < 254)
    assert (found.schema_valid, found.fields_right) == (False, 0)
    assert worth(deep, deep, PAGE).exact
