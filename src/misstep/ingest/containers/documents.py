"""YAML files: a record is one document.

Only plain values are built: no tag makes an object, times stay text. A document whose aliases would
unfold it beyond a bound is set aside, since small files can name huge values.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from misstep.ingest.decode import Fault
from misstep.ingest.item import Item
from misstep.ingest.lines import Broken, Limits, Progress, read_blocks
from misstep.ingest.source import Source
from misstep.redact import clip

_MAX_VALUES = 5_000_000


def items(source: Source, limits: Limits, progress: Progress | None = None) -> Iterator[Item]:
    """The documents of a file."""
    pieces: list[bytes] = []
    size = 0
    for block in read_blocks(source, limits, progress):
        if isinstance(block, Broken):
            yield Item(block.number, block.offset, Fault(block.reason, block.said))
            return
        pieces.append(block.data or b"")
        size += len(pieces[-1])
        if size > limits.max_bytes * 4:
            said = f"a YAML file above {limits.max_bytes * 4} bytes; not read"
            yield Item(1, 0, Fault("too-long", said))
            return
    data = b"".join(pieces)
    fault = _fault(data, limits.max_depth)
    if fault is not None:
        yield Item(1, 0, fault)
    else:
        yield from _documents(data)


def _fault(data: bytes, max_depth: int) -> Fault | None:
    """Why a file is not read, found on its events: to build values recurses as deep as they go."""
    loader = _loader()(data)
    deep = 0
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                deep += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                deep -= 1
            if deep > max_depth:
                return Fault("too-deep", f"nested more than {max_depth} levels deep; not parsed")
    except (yaml.YAMLError, ValueError) as error:
        return Fault("not-yaml", clip(" ".join(str(error).split()), 200))
    finally:
        loader.dispose()
    return None


def _documents(data: bytes) -> Iterator[Item]:
    loader = _loader()(data)
    try:
        while loader.check_node():
            node = loader.get_node()
            value = loader.construct_document(node) if node is not None else None
            line = node.start_mark.line + 1 if node is not None else 1
            offset = node.start_mark.index if node is not None else 0
            yield Item(line, offset, _bounded(value))
    except (yaml.YAMLError, ValueError) as error:
        yield Item(1, 0, Fault("not-yaml", clip(" ".join(str(error).split()), 200)))
    finally:
        loader.dispose()


def _bounded(value: Any) -> Any:
    """The value, or a fault if writing it out would give too many values."""
    sizes: dict[int, int] = {}
    stack: list[tuple[Any, bool]] = [(value, False)]
    while stack:
        at, done = stack.pop()
        if not isinstance(at, (dict, list)):
            continue
        below = list(at.values()) if isinstance(at, dict) else at
        if not done:
            if id(at) in sizes:
                continue
            sizes[id(at)] = _MAX_VALUES + 1  # until known; stays so for a value within itself
            stack.append((at, True))
            stack.extend((entry, False) for entry in below)
        else:
            total = 1 + sum(sizes.get(id(entry), 1) for entry in below)
            sizes[id(at)] = min(total, _MAX_VALUES + 1)
    if sizes.get(id(value), 1) > _MAX_VALUES:
        return Fault("too-long", f"aliases unfold to more than {_MAX_VALUES} values; not read")
    return value


@cache
def _loader() -> Any:
    """PyYAML's safe loader (the C one where built) without its reading of dates."""
    base = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

    class Plain(base):  # type: ignore[misc, valid-type]
        pass

    Plain.yaml_implicit_resolvers = {
        first: [(tag, rule) for tag, rule in rules if not tag.endswith(":timestamp")]
        for first, rules in base.yaml_implicit_resolvers.items()
    }
    return Plain
