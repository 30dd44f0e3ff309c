"""ToolBench's nodes as answers of the model: a search tree or a chain of `Thought`, `Action` and
`Action Input`, of which one answer gave one to three.

In: the JSON of a tree or of a list of nodes, as deep as the decoder lets through. Out: the first
answers of each try, the later ones below them. Nothing here raises or recurses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from misstep.ingest.messages import int_or_none, text_or_none


class Answer(msgspec.Struct):
    """One answer of the model: the nodes that it gave, and the answers that follow on it."""

    thought: str | None = None
    name: str | None = None
    arguments: str = ""
    observation: str = ""
    code: int | None = None
    pointer: str = ""
    down: list[Answer] = msgspec.field(default_factory=list)

    @property
    def key(self) -> tuple[str | None, str]:
        """What `train_messages` says of it too."""
        return self.thought, self.arguments


def tops(value: Mapping[str, Any]) -> Iterator[list[Answer]]:
    """The first answers of each try: of the tree, and of each chain."""
    tree = value.get("tree")
    root = tree.get("tree") if isinstance(tree, dict) else None
    if isinstance(root, dict):
        top = _answers(root, "/tree/tree")
        if top:
            yield top
    tries = value.get("trys")
    for index, chain in enumerate(tries if isinstance(tries, list) else ()):
        rows = chain.get("chain") if isinstance(chain, dict) else None
        top = _chain(rows, f"/trys/{index}/chain") if isinstance(rows, list) else []
        if top:
            yield top


def _answers(root: Mapping[str, Any], at: str) -> list[Answer]:
    """The answers below a node. A thought that was expanded itself (`expand_num`) stands alone."""
    above = Answer()
    todo: list[tuple[Mapping[str, Any], str, Answer, Answer | None]] = [(root, at, above, None)]
    while todo:
        node, pointer, up, open_ = todo.pop()
        children = node.get("children")
        below = []
        for index, child in enumerate(children if isinstance(children, list) else ()):
            if isinstance(child, dict):
                here = f"{pointer}/children/{index}"
                ends, kept = _take(child, here, up, open_)
                below.append((child, here, ends, kept))
        todo.extend(reversed(below))
    return above.down


def _chain(rows: Sequence[Any], at: str) -> list[Answer]:
    """The answers of one chain, each below the one before it."""
    above = up = Answer()
    open_: Answer | None = None
    for index, row in enumerate(rows):
        if isinstance(row, dict):
            up, open_ = _take(row, f"{at}/{index}", up, open_)
    return above.down


def _take(
    node: Mapping[str, Any], pointer: str, up: Answer, open_: Answer | None
) -> tuple[Answer, Answer | None]:
    """What follows on a node: the answer to plant below, and the answer that is not yet whole."""
    kind, text = node.get("node_type"), node.get("description")
    text = text if isinstance(text, str) else ""
    if kind == "Action Input":
        if open_ is None:
            return up, None
        open_.arguments = text
        open_.observation = text_or_none(node.get("observation")) or ""
        open_.code = int_or_none(node.get("observation_code"))
        return open_, None
    if kind not in ("Thought", "Action"):
        return up, None
    answer = open_
    if answer is None or kind == "Thought" or answer.name is not None:
        up = open_ or up
        answer = Answer(pointer=pointer)
        up.down.append(answer)
    if kind == "Action":
        answer.name = text
        return up, answer
    answer.thought = text or None
    alone = bool(int_or_none(node.get("expand_num"))) or node.get("children") == []
    return (answer, None) if alone else (up, answer)
