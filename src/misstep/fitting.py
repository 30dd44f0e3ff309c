"""Plain values fitted into settings dataclasses, with every fault in words.

In: a dataclass and nested keys and values, as YAML gives them. Out: the dataclass; faults are added
to a list, each with the dotted key, what was expected and the nearest known word. Never raises.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

_MISFIT = object()


def build(
    cls: type,
    data: Mapping[str, Any],
    at: str,
    faults: list[str],
    *,
    above: Collection[str] = (),
) -> Any:
    """A `cls` from keys and values.

    Args:
        at: the dotted place of the section, with its last dot.
        above: keys that stand outside all sections.
    """
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in data.items():
        where = f"{at}{key}"
        if key not in hints:
            outside = f"did you mean {key}, outside {at[:-1]}?" if key in above else ""
            faults.append(f"unknown key {where!r}, {outside or nearest(str(key), hints, at)}")
        elif dataclasses.is_dataclass(hints[key]):
            if isinstance(value, Mapping):
                values[key] = build(
                    typing.cast(type, hints[key]), value, f"{where}.", faults, above=above or hints
                )
            else:
                faults.append(f"{where}: expected keys and values, got {value!r}")
        else:
            values[key] = fit(hints[key], value, where, faults)
    return cls(**values)


def nearest(word: str, known: Iterable[str], at: str = "") -> str:
    """`did you mean X?`, or all known words where none is near."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {at}{near[0]}?" if near else f"known: {', '.join(names)}"


def fit(hint: Any, value: Any, where: str, faults: list[str]) -> Any:
    """`value` as `hint` wants it; None and a fault where it cannot be."""
    if typing.get_origin(hint) in (Mapping, dict):
        return _mapping(typing.get_args(hint)[1], value, where, faults)
    for option in _options(hint):
        fitted = _fit_one(option, value)
        if fitted is not _MISFIT:
            return fitted
    faults.append(f"{where}: expected {_spell(hint)}, got {value!r}{_hint(hint, value)}")
    return None


def _mapping(hint: Any, value: Any, where: str, faults: list[str]) -> dict[str, Any] | None:
    """A mapping whose values all have one type, by sorted key."""
    if not isinstance(value, Mapping):
        faults.append(f"{where}: expected keys and values, got {value!r}")
        return None
    fitted = {str(key): fit(hint, one, f"{where}.{key}", faults) for key, one in value.items()}
    return dict(sorted(fitted.items()))


def _options(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        yield from typing.get_args(hint)
    else:
        yield hint


def _fit_one(option: Any, value: Any) -> Any:
    origin, args = typing.get_origin(option), typing.get_args(option)
    if origin is Literal:
        if value is False and "off" in args:  # YAML 1.1 reads a bare off as false
            return "off"
        return value if value in args else _MISFIT
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            return _MISFIT
        fitted = tuple(_fit_one(args[0], item) for item in items)
        return _MISFIT if _MISFIT in fitted else fitted
    if option is type(None):
        return None if value is None else _MISFIT
    if option is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:  # YAML 1.1 reads 1e-4 as a string
            return float(value)
        except ValueError:
            return _MISFIT
    if option is int and isinstance(value, bool):
        return _MISFIT
    return value if isinstance(value, option) else _MISFIT


def _hint(hint: Any, value: Any) -> str:
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        given = value if isinstance(value, (list, tuple)) else [value]
        return next((_hint(item, one) for one in given if _fit_one(item, one) is _MISFIT), "")
    if typing.get_origin(hint) is not Literal or not isinstance(value, str):
        return ""
    near = difflib.get_close_matches(value, typing.get_args(hint), n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else ""


def _spell(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return f"a list of {_spell(item)}" if typing.get_origin(item) is Literal else "a list"
    return getattr(hint, "__name__", str(hint)).replace("NoneType", "null")
