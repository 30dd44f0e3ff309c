"""What one answer is worth against its gold: text scores, error rates, validity, fields.

In: the gold and the answer as text, and the schema. Out: a `Worth` of plain numbers.

The text score is the one published for DharmaOCR: (Levenshtein ratio + BLEU-4) / 2 of the flattened
texts. Flattening: the values of a JSON object that are not empty, joined with line breaks in the
order of their keys; what is no JSON object is compared as it stands. So the text score punishes
neither broken JSON nor text in the wrong field: validity and fields are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from rapidfuzz.distance import Levenshtein

from misstep.validate.bleu import sentence_bleu
from misstep.validate.schema import compiled

_NOTHING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """One answer against its gold."""

    text_score: float
    """(levenshtein + bleu4) / 2, in [0, 1]."""
    levenshtein: float
    """1 minus the edit distance over the longer length."""
    bleu4: float
    character_errors: int
    """Edit distance in characters; over `characters` it is the character error rate."""
    characters: int
    word_errors: int
    words: int
    json_valid: bool | None
    """The answer is JSON and nothing else; None where the gold is no JSON."""
    schema_valid: bool | None
    """And it meets the schema; None where there is none that can be used."""
    fields: int
    """Values in the gold; 0 where the gold is no JSON."""
    fields_right: int
    """Of these, those that the answer has in the same place, white space aside."""
    exact: bool
    """The flattened texts are equal, white space aside."""


def worth(gold: str, answer: str, schema: str | None = None) -> Worth:
    """Hold an answer against its gold.

    Args:
        schema: JSON Schema of the answer as JSON text; None where nothing was demanded.
    """
    wanted, given = parsed(gold), parsed(answer)
    want, have = flat(gold, wanted), flat(answer, given)
    ratio = Levenshtein.normalized_similarity(want, have)
    bleu = sentence_bleu(want.split(), have.split())
    leaves = dict(_leaves(wanted)) if isinstance(wanted, (dict, list)) else {}
    own = dict(_leaves(given)) if isinstance(given, (dict, list)) else {}
    return Worth(
        text_score=(ratio + bleu) / 2,
        levenshtein=ratio,
        bleu4=bleu,
        character_errors=Levenshtein.distance(want, have),
        characters=len(want),
        word_errors=Levenshtein.distance(want.split(), have.split()),
        words=len(want.split()),
        json_valid=given is not _NOTHING if leaves else None,
        schema_valid=_meets(given, schema) if leaves else None,
        fields=len(leaves),
        fields_right=sum(_same(value, own.get(place, _NOTHING)) for place, value in leaves.items()),
        exact=want.split() == have.split(),
    )


def parsed(text: str) -> Any:
    """The JSON object or list that a text is; `_NOTHING` where it is none.

    One that is nested deeper than orjson writes (254 levels) is none either: it is compared as it
    stands, and nothing descends into it.
    """
    try:
        value = orjson.loads(text)
        orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, UnicodeEncodeError):
        return _NOTHING
    return value if isinstance(value, (dict, list)) else _NOTHING


def flat(text: str, value: Any) -> str:
    """The text that is compared: the values of an object, line by line, or the text itself."""
    if not isinstance(value, dict):
        return text
    spelled = (v if isinstance(v, str) else orjson.dumps(v).decode() for v in value.values() if v)
    return "\n".join(line for line in spelled if line)


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that holds no other, by its place."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{at}/{key}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{at}/{index}")
    else:
        yield at, value


def _same(want: Any, have: Any) -> bool:
    if isinstance(want, str) and isinstance(have, str):
        return want.split() == have.split()
    return type(want) is type(have) and bool(want == have)


def _meets(value: Any, schema: str | None) -> bool | None:
    if schema is None:
        return None
    known = compiled(schema)
    if known.validator is None:
        return None
    return value is not _NOTHING and bool(known.validator.is_valid(value))
