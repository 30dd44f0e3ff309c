"""Logs that lie elsewhere: buckets and hubs behind a URL, listed and read through fsspec.

In: a URL as the user gave it. Out: `Remote` values in the order in which a local copy would be
walked, and binary streams of them, so that offsets, counts and ids are those of a local copy. A
stream fetches blocks as it needs them; a process holds a few of them, whatever the size of a file.
Who may read is told by each service's own settings, never by the URL; what is printed holds no
query and no password.
"""

from __future__ import annotations

import errno
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from uuid import uuid4

import msgspec

from misstep.errors import ExtraMissing, InputError
from misstep.redact import redact, switched

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "sftp", "hdfs", "memory")
"""What is read without being asked twice."""
WEB = ("https", "http")
"""What is read only where `ingest.allow_https` says so."""
BLOCK = 4 << 20
"""Bytes fetched at a time."""
_STAMPS = (
    *("ETag", "etag", "md5Hash", "Content-MD5", "content_md5", "checksum", "blob_id", "Digest"),
    *("LastModified", "Last-Modified", "last_modified", "updated", "mtime", "created"),
)
"""What services call that which changes with the content."""
WHOLE = 256 << 20
"""Bytes that are fetched at once at most."""
_HELD = 6
"""Blocks that a process holds."""
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(.*)", re.DOTALL)
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?P<port>:\d*)?")
_MAGIC = re.compile(r"[*?\[]")


class Remote(msgspec.Struct, frozen=True):
    """One file behind a URL."""

    url: str
    size: int
    stamp: str
    """Changes when the content does: its ETag, checksum or time, as the service tells it."""
    whole: bool = False
    """Whether it is fetched at once: the service did not tell its size beforehand."""
    fault: str = ""
    """Why it cannot be read."""

    def open(self) -> IO[bytes]:
        """Its bytes, seekable.

        Raises:
            OSError: at a read that the service does not answer.
        """
        return cast(IO[bytes], io.BufferedReader(_Blocks(self), 1 << 18))

    def raw(self) -> io.RawIOBase:
        """Its bytes, without a buffer of its own."""
        return _Blocks(self)


class _Blocks(io.RawIOBase):
    """A stream over blocks that all streams of the process share."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._at, self._remote.size)[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._remote.fault:
            raise OSError(errno.EIO, self._remote.fault)
        into = memoryview(buffer).cast("B")
        if self._at >= self._remote.size or not len(into):
            return 0
        number, within = divmod(self._at, BLOCK)
        piece = _block(self._remote, number)[within : within + len(into)]
        into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


@lru_cache(maxsize=_HELD)
def _block(remote: Remote, number: int) -> bytes:
    start = number * BLOCK
    end = min(start + BLOCK, remote.size)
    if remote.whole:
        return _body(remote)[start:end]
    try:
        files, path = filesystem(remote.url)
        data: bytes = files.cat_file(path, start=start, end=end)
    except Exception as error:  # noqa: BLE001 - each service raises what its own library raises
        raise OSError(errno.EIO, _said(error)) from None
    if len(data) != end - start:
        raise OSError(errno.EIO, "it changed while it was read")
    return data


@lru_cache(maxsize=1)
def _body(remote: Remote) -> bytes:
    """All of what was told no size of."""
    data = _fetched(remote.url)
    if _hashed(data) != remote.stamp:
        raise OSError(errno.EIO, "it changed while it was read")
    return data


def _fetched(url: str) -> bytes:
    """A body to its end.

    Raises:
        OSError: the service does not answer, or the body is too large.
    """
    data = bytearray()
    try:
        files, path = filesystem(url)
        with files.open(path, "rb", block_size=0) as stream:
            while len(data) <= WHOLE and (piece := stream.read(BLOCK)):
                data += piece
    except Exception as error:  # noqa: BLE001 - each service raises what its own library raises
        raise OSError(errno.EIO, _said(error)) from None
    if len(data) > WHOLE:
        said = f"its size is not told, and it is larger than {WHOLE} bytes; give a local copy"
        raise OSError(errno.EFBIG, said)
    return bytes(data)


def _hashed(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def url_of(path: Path) -> str | None:
    """The URL that a path was made of; a `Path` has lost the second slash behind the scheme.

    Raises:
        InputError: the URL holds a user name or a password.
    """
    match = _URL.fullmatch(path.as_posix())
    if match is None or path.exists():
        return None
    scheme, rest = match.groups()
    if scheme not in (*SCHEMES, *WEB):
        return None
    if _is_personal(rest):
        raise InputError(
            f"{scheme}://…: a URL with a name or a password in it is not read; give the bucket "
            f"alone, and the credentials by the service's own settings (docs/scale.md)"
        )
    return f"{scheme}://{rest}"


def _is_personal(rest: str) -> bool:
    """Whether an `@` stands behind a name or a password, which may itself hold `/`, `?` or `#`."""
    first = rest.split("/", 1)[0]
    if "@" in first:
        return True
    named = _HOST.fullmatch(re.split(r"[?#]", first, maxsplit=1)[0])
    return "@" in (rest if named is None else _shorn(rest) if named["port"] else "")


def _shorn(url: str) -> str:
    return re.split(r"[?#]", url, maxsplit=1)[0]


def shown(url: str) -> str:
    """A URL as it may be printed: without its query and fragment, which may hold a signature."""
    return _shorn(url)


def printed(path: Path) -> str:
    """A path or a URL as it may be printed."""
    url = url_of(path)
    return spelled(str(path)) if url is None else shown(url)


def spelled(name: str) -> str:
    """A name with its bytes that are no UTF-8 as `\\xe9`: what is written and printed is UTF-8."""
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which Windows allows
        data = name.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def walk(url: str, *, web: bool) -> Iterator[tuple[Remote, str]]:
    """The files behind a URL with their names below it, in the order of a local walk.

    A file alone goes by its whole URL. Of a pattern, names begin behind the last folder that is
    named without a wildcard.

    Args:
        web: whether http and https may be read.

    Raises:
        InputError: nothing is there, it may not be read, or the web was not allowed.
        ExtraMissing: the package for this kind of URL is not installed.
    """
    scheme = url.split(":", 1)[0]
    if scheme in WEB and not web:
        raise InputError(
            f"{shown(url)}: nothing is fetched from the web unless you ask for it; add "
            f"--allow-https (ingest.allow_https: true), or give a local copy"
        )
    files, path = filesystem(url)
    try:
        listed, root = _listed(files, path, web=scheme in WEB)
    except FileNotFoundError:
        raise _absent(url) from None
    except Exception as error:  # noqa: BLE001 - each service raises what its own library raises
        raise InputError(f"{shown(url)}: cannot be listed ({_said(error)})") from None
    if not listed:
        raise _absent(url)
    below = {name: name[len(root) :].lstrip("/") if root is not None else "" for name in listed}
    for name in sorted(listed, key=lambda each: walked(below[each])):
        if ".git" not in below[name].split("/")[:-1]:
            whole = url if root is None else str(files.unstrip_protocol(name))
            yield _remote(whole, listed[name]), below[name] or shown(url)


def _absent(url: str) -> InputError:
    return InputError(f"{shown(url)}: no such file or folder; give a log file or a folder of logs")


def _listed(
    files: Any, path: str, *, web: bool
) -> tuple[Mapping[str, Mapping[str, Any]], str | None]:
    """The entries by their whole names, and the folder that names begin in; None for a file."""
    if _MAGIC.search(path) and not web:
        found = files.glob(path, detail=True)
        for name in [name for name, entry in found.items() if entry["type"] == "directory"]:
            found |= files.find(name, detail=True)
        return _files(found), _MAGIC.split(path, maxsplit=1)[0].rpartition("/")[0]
    if web or files.isfile(path):
        return {path: files.info(path)}, None
    return _files(files.find(path, detail=True)), path


def _files(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Without folders, and without the empty objects that stand for them."""
    return {n: e for n, e in found.items() if e.get("type") == "file" and not n.endswith("/")}


def walked(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts as a walk does: the files of a folder first, then its folders."""
    *folders, file = name.split("/")
    return (*((1, folder) for folder in folders), (0, file))


def _remote(url: str, entry: Mapping[str, Any]) -> Remote:
    size = entry.get("size")
    if size is None:
        try:
            data = _fetched(url)
        except OSError as error:
            return Remote(url, 0, uuid4().hex, fault=error.strerror or "unreadable")
        return Remote(url, len(data), _hashed(data), whole=True)
    stamps = (str(entry[name]) for name in _STAMPS if entry.get(name))
    return Remote(url, int(size), next(stamps, None) or uuid4().hex)  # untold: taken for changed


@lru_cache(maxsize=16)
def filesystem(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        InputError: the service cannot be reached with the settings there are.
        ExtraMissing: its package is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ExtraMissing("remote", "fsspec") from None
    try:
        files, path = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        wanted = str(error).partition("nstall ")[2].split()[:1] or [str(error)]
        raise ExtraMissing("remote", wanted[0].strip("'\"")) from None
    except Exception as error:  # noqa: BLE001 - each service raises what its own library raises
        raise InputError(f"{shown(url)}: cannot be opened ({_said(error)})") from None
    return files, path


def _said(error: Exception) -> str:
    """One line of what a service says, without what it may have told of a signature or a key."""
    text = re.sub(r"(://)[^\s/@]+@|\?[^\s'\")]+", r"\1", " ".join(str(error).split()))
    with switched(True):
        return redact(f"{type(error).__name__}: {text}").text[:200]
