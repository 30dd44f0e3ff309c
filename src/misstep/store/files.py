"""Files in and out: lossless JSON of the nouns, JSON lines, and keys of what files hold.

In: values of `types` or plain rows. Out: files that are complete or absent: everything is written
under a temporary name in the same folder and renamed. Written rows are checked against the JSON
Schema of their kind at the door. Nothing here knows what a stage does.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import jsonschema_rs
import msgspec
import orjson

from misstep.errors import InputError, StageError

T = TypeVar("T")
_WRITING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EROFS,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EEXIST,
}
"""What the place that is written to can be blamed for; anything else is a fault of ours."""


def encode(value: Any) -> bytes:
    """JSON of a value of `types`; `decode` gives the equal value back."""
    return msgspec.json.encode(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """The value that `encode` wrote.

    Raises:
        StageError: the text is not a `kind`.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StageError(f"stored {kind.__name__} cannot be read: {error}") from None


def is_writer() -> bool:
    """Whether this process writes files: of several that train together the first alone does."""
    names = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK")
    return all(os.environ.get(name, "0") == "0" for name in names)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    Raises:
        StageError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with telling(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove(temporary)
            yield temporary
            if not is_writer():
                return
            if temporary.is_dir() and path.is_dir():
                shutil.rmtree(path)
            os.replace(temporary, path)
    finally:
        remove(temporary)


@contextlib.contextmanager
def telling(path: Path) -> Iterator[None]:
    """Say what to do where `path` cannot be written.

    Raises:
        StageError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _WRITING:
            raise
        raise StageError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another "
            f"folder, then run the same command again: finished stages are kept"
        ) from None


def remove(path: Path) -> None:
    """Take a file or a folder away, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, all or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, all or nothing."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    with replacing(path) as temporary:
        temporary.write_bytes(orjson.dumps(value, option=options))


def read_json(path: Path) -> Any:
    """The JSON value in a file that misstep wrote.

    Raises:
        InputError: the file is absent or is not JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is the folder a finished misstep run?") from None
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON ({error}); remove it and run the stage again") from None


def expect(path: Path) -> None:
    """Refuse a file that is not there.

    Raises:
        InputError: it is absent.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; is the folder a finished misstep run?")


def write_jsonl(path: Path, values: Iterable[Any], *, schema: str | None = None) -> int:
    """Write one value of `types` a line, all or nothing; gives the number of lines."""
    count = 0
    with replacing(path) as temporary, temporary.open("wb") as out:
        for value in values:
            out.write(row_line(value, schema))
            count += 1
    return count


def row_line(value: Any, schema: str | None = None) -> bytes:
    """One value of `types` as a line of JSON, held against its schema."""
    line = encode(value)
    if schema is not None:
        check_row(orjson.loads(line), schema)
    return line + b"\n"


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Write bytes piece by piece, all or nothing."""
    with replacing(path) as temporary, temporary.open("wb") as out:
        out.writelines(pieces)


def read_jsonl(path: Path, kind: type[T]) -> list[T]:
    """The values of a file that `write_jsonl` wrote; an absent file holds none."""
    if not path.exists():
        return []
    with path.open("rb") as lines:
        return [decode(line, kind) for line in lines]


@cache
def schema(name: str) -> dict[str, Any]:
    """The JSON Schema `schemas/<name>.json`, from the wheel or from the checkout."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "schemas", here.parents[3] / "schemas"):
        path = folder / f"{name}.json"
        if path.exists():
            loaded: dict[str, Any] = orjson.loads(path.read_bytes())
            return loaded
    raise StageError(f"schemas/{name}.json is not installed; install misstep again")


@cache
def _checker(name: str) -> Any:
    return jsonschema_rs.validator_for(schema(name), offline=True)


def check_row(row: Any, name: str) -> None:
    """Hold one row against its schema.

    Raises:
        StageError: the row breaks the schema; a fault of misstep, not of the logs.
    """
    error = next(iter(_checker(name).iter_errors(row)), None)
    if error is not None:
        where = "/".join(str(step) for step in error.instance_path)
        raise StageError(f"a {name} row breaks schemas/{name}.json at /{where}: {error.message}")


def file_digest(path: Path) -> str:
    """BLAKE2b of the bytes of a file, or of the names and bytes of the files of a folder.

    A file that cannot be read counts with its name; what is no file (a pipe) is never opened.
    """
    digest = hashlib.blake2b(digest_size=16)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in (f for f in files if f.is_file()):
        name = str(file.relative_to(path) if path.is_dir() else file.name)
        digest.update(name.encode("utf-8", "surrogateescape"))
        with contextlib.suppress(PermissionError), file.open("rb") as data:
            while block := data.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def weights_digest(adapter: Path) -> str:
    """SHA-256 of an adapter's weights; empty where the folder holds none."""
    path = adapter / "adapter_model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def key_of(*values: Any) -> str:
    """A content key of plain values, dataclasses and texts: equal values give equal keys."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        digest.update(msgspec.json.encode(value, order="deterministic"))
        digest.update(b"\x00")
    return digest.hexdigest()
