"""Makes this sample from goose's documents: no package of goose can be installed where it was made.

    python sample_logs/goose/make.py

The tables and the JSON of `content_json` follow the public source of goose (session_manager.rs,
message.rs, tool_result_serde.rs); what is said in them is made up.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLES = """
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TIMESTAMP);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, name TEXT, description TEXT, user_set_name BOOLEAN, session_type TEXT,
    working_dir TEXT NOT NULL, created_at TIMESTAMP, updated_at TIMESTAMP, extension_data TEXT,
    total_tokens INTEGER, input_tokens INTEGER, output_tokens INTEGER, provider_name TEXT,
    model_config_json TEXT, parent_session_id TEXT);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT, session_id TEXT NOT NULL,
    role TEXT NOT NULL, content_json TEXT NOT NULL, created_timestamp INTEGER NOT NULL,
    timestamp TIMESTAMP, tokens INTEGER, metadata_json TEXT);
"""
SEEN = {"userVisible": True, "agentVisible": True}
HIDDEN = {"userVisible": True, "agentVisible": False}
SUMMARY = {"userVisible": False, "agentVisible": True}
START = 1_760_000_000
Block = dict[str, Any]


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def request(call: str, name: str, **arguments: Any) -> Block:
    value = {"name": name, "arguments": arguments}
    held = {"status": "success", "value": value}
    return {"type": "toolRequest", "id": call, "toolCall": held, "_meta": {"goose_extension": "d"}}


def unread(call: str, said: str) -> Block:
    return {"type": "toolRequest", "id": call, "toolCall": {"status": "error", "error": said}}


def response(call: str, said: str, failed: bool | None = False, code: int | None = None) -> Block:
    value: Block = {"content": [text(said)]}
    if code is not None:
        value["structuredContent"] = {"stdout": said, "stderr": "", "exit_code": code}
    if failed is not None:
        value["isError"] = failed
    held = {"status": "success", "value": value}
    return {"type": "toolResponse", "id": call, "toolResult": held}


def refused(call: str, said: str) -> Block:
    return {"type": "toolResponse", "id": call, "toolResult": {"status": "error", "error": said}}


BAD = (
    "-32602: Could not interpret tool use parameters for id c3: trailing comma at line 1 column "
    "20. "
    'Raw arguments: \'{"command": "ls -l", }\''
)
NAMED = (
    "-32600: The provided function name 'shell exec' had invalid characters, it must match this "
    "regex [a-zA-Z0-9_-]+"
)
NO = (
    "The user has declined to run this tool. DO NOT attempt to call this tool again. If there are "
    "no alternative methods to proceed, clearly explain the situation and STOP."
)
RETRY = "Please retry if you think this is a transient or recoverable error."
MAIN: list[tuple[str, str, list[Block]]] = [
    ("u1", "user", [text("Is gamma in notes.txt?")]),
    ("a1", "assistant", [{"type": "thinking", "thinking": "Look first.", "signature": ""}]),
    ("a1", "assistant", [text("Let me look at both files.")]),
    ("a1", "assistant", [request("c1", "developer__shell", command="cat notes.txt")]),
    ("r1", "user", [response("c1", "alpha\nbeta\n", code=0)]),
    ("a1", "assistant", [request("c2", "developer__shell", command="cat data.csv")]),
    ("r2", "user", [response("c2", "a,b\n1,2\n", code=0)]),
    ("a2", "assistant", [unread("c3", BAD)]),
    ("r3", "user", [refused("c3", BAD)]),
    ("a3", "assistant", [unread("c4", NAMED)]),
    ("r4", "user", [refused("c4", NAMED)]),
    ("a4", "assistant", [request("c5", "developer__shell", command="grep gamma notes.txt")]),
    ("r5", "user", [response("c5", "", failed=True, code=1)]),
    ("a5", "assistant", [request("c6", "developer__text_editor", command="view")]),
    ("r6", "user", [refused("c6", "-32602: missing field `path`")]),
    ("a6", "assistant", [request("c7", "developer__shell", command="rm notes.txt")]),
    ("r7", "user", [response("c7", NO, failed=None)]),
    ("a7", "assistant", [request("c8", "delegate", instructions="Count the lines")]),
    ("r8", "user", [response("c8", "notes.txt has 2 lines.")]),
    ("a8", "assistant", [text("Two lines, no gamma.")]),
]
HELPER: list[tuple[str, str, list[Block]]] = [
    ("h1", "user", [text("Count the lines")]),
    ("h2", "assistant", [request("c9", "developer__shell", command="wc -l notes.txt")]),
    ("h3", "user", [response("c9", "2 notes.txt\n", code=0)]),
    ("h4", "assistant", [text("notes.txt has 2 lines.")]),
]
FULL: list[tuple[str, str, list[Block], Block]] = [
    ("f1", "user", [text("Read everything")], HIDDEN),
    ("f2", "assistant", [request("d1", "developer__shell", command="cat notes.txt")], HIDDEN),
    ("f3", "user", [response("d1", "alpha\nbeta\n", code=0)], HIDDEN),
    ("f4", "user", [text("Summary: notes.txt holds alpha and beta.")], SUMMARY),
    (
        "f5",
        "assistant",
        [{"type": "systemNotification", "notificationType": "inlineMessage", "msg": "Compacted"}],
        HIDDEN,
    ),
    ("f6", "assistant", [text("The notes hold alpha and beta.")], SEEN),
    ("f7", "user", [text("And now?")], SEEN),
    ("f8", "assistant", [{"type": "error", "kind": "other", "message": "Server error 500"}], SEEN),
]


def base() -> None:
    target = HERE / "sessions.db"
    target.unlink(missing_ok=True)
    made = sqlite3.connect(target)
    made.execute("PRAGMA page_size = 1024")
    made.executescript(TABLES)
    made.execute("INSERT INTO schema_version VALUES (13, '2025-10-09 08:53:20')")
    model = json.dumps({"model_name": "misstep-sample"})
    for key, kind, starter in (
        ("20251009_1", "user", None),
        ("20251009_2", "sub_agent", "20251009_1"),
        ("20251009_3", "user", None),
    ):
        made.execute(
            "INSERT INTO sessions (id, name, session_type, working_dir, extension_data, "
            "provider_name, model_config_json, parent_session_id) VALUES (?,?,?,?,?,?,?,?)",
            (key, "Lab notes", kind, "/home/ada/lab", "{}", "openai", model, starter),
        )
    rows = [("20251009_1", *row, SEEN) for row in MAIN]
    rows += [("20251009_2", *row, SEEN) for row in HELPER]
    rows += [("20251009_3", *row) for row in FULL]
    for second, (session, own, role, blocks, notes) in enumerate(rows):
        usage = {"usage": {"inputTokens": 100, "outputTokens": 20}} if role == "assistant" else {}
        made.execute(
            "INSERT INTO messages (message_id, session_id, role, content_json, created_timestamp, "
            "metadata_json) VALUES (?,?,?,?,?,?)",
            (
                own,
                session,
                role,
                json.dumps(blocks),
                START + second,
                json.dumps({**notes, **usage}),
            ),
        )
    made.commit()
    made.close()


def lines() -> None:
    about = {
        "working_dir": "/home/ada/lab",
        "description": "Lab notes",
        "message_count": 8,
        "total_tokens": 240,
    }
    call = {
        "status": "success",
        "value": {"name": "developer__shell", "arguments": {"command": "ls"}},
    }
    bare = {"status": "success", "value": [text("notes.txt\n")]}
    said: list[tuple[str, list[Block]]] = [
        ("user", [text("What is here?")]),
        ("assistant", [text("I look."), {"type": "toolRequest", "id": "e1", "toolCall": call}]),
        ("user", [{"type": "toolResponse", "id": "e1", "toolResult": bare}]),
        ("assistant", [unread("e2", BAD.split(" Raw")[0].replace("c3", "e2"))]),
        ("user", [refused("e2", BAD.split(" Raw")[0].replace("c3", "e2"))]),
        ("assistant", [text(f"Ran into this error: Server error 500.\n\n{RETRY}")]),
        ("user", [text("Again, please")]),
        ("assistant", [text("One file, notes.txt.")]),
    ]
    messages = [
        {"role": role, "created": START + second, "content": blocks}
        for second, (role, blocks) in enumerate(said)
    ]
    text_lines = "".join(json.dumps(line) + "\n" for line in [about, *messages])
    (HERE / "20250514_101500.jsonl").write_text(text_lines)


if __name__ == "__main__":
    base()
    lines()
