"""BFCL's own checker of one call, from the package `bfcl-eval` installed without what it needs.

Its module looks one flag of a model up in a table whose import needs the clients of every provider;
an empty table stands in for it here.
"""

from __future__ import annotations

import collections
import functools
import importlib
import sys
import types
from pathlib import Path
from typing import Any

_TABLE = "bfcl_eval.constants.model_config"


def accepts(
    package: Path, document: dict[str, Any], arguments: dict[str, Any], possible: dict[str, Any]
) -> bool | None:
    """Whether BFCL counts the call as right; None where its checker cannot be imported."""
    known = _checker(package)
    if known is None:
        return None
    check, python = known
    name = document["name"]
    said = check(document, {name: arguments}, {name: possible}, python, "any")
    return bool(said["valid"])


@functools.cache
def _checker(package: Path) -> tuple[Any, Any] | None:
    plain = types.SimpleNamespace(underscore_to_dot=False)
    table = types.ModuleType(_TABLE)
    vars(table)["MODEL_CONFIG_MAPPING"] = collections.defaultdict(lambda: plain)
    sys.modules.setdefault(_TABLE, table)
    sys.path.append(str(package.parent))
    try:
        checker = importlib.import_module("bfcl_eval.eval_checker.ast_eval.ast_checker")
        enums = importlib.import_module("bfcl_eval.constants.enums")
    except ImportError:
        return None
    return checker.simple_function_checker, enums.Language.PYTHON
