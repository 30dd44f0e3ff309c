"""What the failure page shows of logs: rates and their bases, examples, sessions, no secrets."""

from __future__ import annotations

import json
from dataclasses import replace

from logs import RIGHT, WRONG, session, write
from misstep.config import RunConfig
from misstep.pipeline.digest import _TELLERS, CELLS, day_of, signatures
from misstep.pipeline.gather import gathered
from misstep.pipeline.page import EXAMPLES, SESSIONS, Page
from misstep.pipeline.scan import _DIGEST, page_of, scan, tell
from misstep.validate import VALIDATORS

DAY = 1_740_787_200  # 2025-03-01
SECRET = "ghp_" + "a1B2c3D4e5" * 4


def told(*paths, **changes):
    config = RunConfig()
    config = replace(config, ingest=replace(config.ingest, **changes))
    page = tell(paths, config, page=True).page
    assert page is not None
    return page


def rates(rows, key="name"):
    return {row[key]: (row["k"], row["n"]) for row in rows}


def test_every_teller_is_a_validator_and_every_code_has_a_base():
    assert set(_TELLERS) <= {validator.name for validator in VALIDATORS}
    codes = [code for codes in signatures().values() for code in codes]
    assert len(codes) == len(set(codes))


def test_a_rate_is_over_the_steps_in_which_the_code_could_be_seen(tmp_path):
    bare = session(9, RIGHT % 9)
    del bare["tools"]
    del bare["tool_choice"]
    log = write(
        tmp_path / "log.jsonl",
        [*(session(n, RIGHT % n) for n in range(1, 4)), session(7, WRONG % 7), bare],
    )
    page = told(log)
    (row,) = page["codes"]
    assert (row["code"], row["level"], row["k"], row["n"]) == ("WRONG_TYPE", "defect", 1, 4)
    assert 0 < row["low"] < 0.25 < row["high"] < 1
    assert rates(page["tools"]) == {"set_timer": (1, 5)}


def test_loops_and_code_are_looked_for_in_every_answer_even_where_nothing_judges(tmp_path):
    said = ["Fine.", "```python\ndef f(:\n    return 1\n```", 'x = [\n"' + "again and again " * 40]
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"say it {n}"},
                {"role": "assistant", "content": text, "finish_reason": "stop"},
            ]
        }
        for n, text in enumerate(said)
    ]
    page = told(write(tmp_path / "log.jsonl", rows))
    assert rates(page["codes"], "code") == {"CODE_SYNTAX": (1, 3), "REP_LOOP": (1, 3)}


def test_models_and_days_are_counted_apart(tmp_path):
    rows = []
    for n, (model, time, text) in enumerate(
        (("a", DAY, RIGHT), ("a", DAY + 90_000, WRONG), ("b", 1e30, WRONG), (None, None, RIGHT)),
        start=1,
    ):
        row = session(n, text % n)
        row["messages"][1] |= {"model": model, "time": time}
        rows.append(row)
    page = told(write(tmp_path / "log.jsonl", rows))
    assert rates(page["models"]) == {"a": (1, 2), "b": (1, 1), "": (0, 1)}
    assert rates(page["days"]) == {"2025-03-01": (0, 1), "2025-03-02": (1, 1), "": (1, 2)}
    assert rates(page["months"]) == {"2025-03": (1, 2)}


def test_a_time_that_is_none_has_no_day():
    assert [day_of(t) for t in (None, -1.0, 0.0, 1e300, float("nan"), float("inf"))] == [""] * 6


def test_examples_are_the_first_of_each_code_one_a_session(tmp_path):
    log = write(tmp_path / "log.jsonl", [session(n, WRONG % n) for n in range(1, 9)])
    examples = told(log)["examples"]
    assert [row["place"]["line"] for row in examples["WRONG_TYPE"]] == [1, 2, 3][:EXAMPLES]
    (block,) = examples["WRONG_TYPE"][0]["blocks"]
    assert block["title"] == "set_timer"
    assert block["runs"] == [['{"minutes": ', ""], ['"1"', "mark"], ["}", ""]]


def test_the_worst_sessions_come_first_with_a_letter_for_each_step(tmp_path):
    def long(task, arguments):
        made = session(task, arguments[0])
        for text in arguments[1:]:
            made["messages"] += session(task, text)["messages"][1:]
        return made

    rows = [long(n, [RIGHT % n, WRONG % n]) for n in range(1, 20)]
    rows.append(long(20, [WRONG % 1, RIGHT % 2, WRONG % 3]))
    sessions = told(write(tmp_path / "log.jsonl", rows))["sessions"]
    assert len(sessions) == SESSIONS
    assert (sessions[0]["strip"], sessions[0]["failed"], sessions[0]["share"]) == ("fpf", 2, 1)
    assert sessions[0]["codes"] == {"WRONG_TYPE": 2}
    assert [row["place"]["line"] for row in sessions[1:4]] == [1, 2, 3]


def test_a_very_long_session_shares_cells_and_shows_the_worst(tmp_path):
    row = session(1, RIGHT % 1)
    for n in range(2 * CELLS):
        text = WRONG if n == 5 else RIGHT
        row["messages"] += session(1, text % (n + 1))["messages"][1:]
    (worst,) = told(write(tmp_path / "log.jsonl", [row]))["sessions"]
    assert worst["share"] == 3
    assert len(worst["strip"]) <= CELLS
    assert worst["strip"].count("f") == 1


def test_copies_count_once_and_are_told(tmp_path):
    log = write(tmp_path / "log.jsonl", [session(1, WRONG % 1)] * 3)
    page = told(log)
    assert (page["codes"][0]["k"], page["sessions"][0]["copies"]) == (1, 3)


def test_the_page_is_the_same_for_any_number_of_workers_and_held_in_memory(tmp_path):
    for part in range(6):
        texts = [(WRONG if (n + part) % 3 else RIGHT) % n for n in range(1, 20)]
        rows = [session(100 * part + n, text) for n, text in enumerate(texts, start=1)]
        write(tmp_path / f"{part}.jsonl", rows)
    whole = told(tmp_path, workers=1)
    config = RunConfig()
    for workers in (1, 2):
        config = replace(config, ingest=replace(config.ingest, workers=workers))
        with gathered([tmp_path], config, wants=("digest",), set_aside=True, unit=2_000) as found:
            page = Page()
            for data, copies in found.ledger.kept("digest"):
                page.add(_DIGEST.decode(data), copies)
            assert page.rows(found.ledger.books) == whole
    assert page_of(scan([tmp_path], RunConfig())) == whole


def test_what_was_set_aside_or_ignored_is_told_by_format_and_reason(tmp_path):
    log = write(tmp_path / "log.jsonl", [session(1, RIGHT % 1)])
    log.write_bytes(log.read_bytes() + b"{broken\n{broken too\n")
    (row,) = told(log)["set_aside"]
    assert (row["reason"], row["count"], row["origin"]["line"]) == ("not-json", 2, 2)
    assert row["said"]


def test_no_secret_and_no_address_of_a_person_is_in_the_page(tmp_path):
    said = f"write to jane.doe@acme.org with {SECRET}"
    wrong = session(1, json.dumps({"minutes": said}))
    error = session(2, RIGHT % 2)
    error["messages"][2]["content"] = f"Error: invalid arguments: minutes {said}"
    page = json.dumps(told(write(tmp_path / "log.jsonl", [wrong, error])))
    assert "[REDACTED:github-token]" in page
    assert "[REDACTED:email]" in page
    assert "ghp_" not in page
    assert "jane.doe" not in page
