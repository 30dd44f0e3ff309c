"""Uploading an adapter to the Hugging Face Hub: what goes there, and the going.

In: an adapter folder and what reads its prompts (a tokenizer or processor). Out: an `Upload`, which
names every file before anything is sent, and the address of the repository. Sent are the weights,
their configuration, the note, the card and the tokenizer with its template; texts lose secrets and
user names on the way. Rows, prompts, logs and hashes of prompts never are among them.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misstep.errors import InputError, StageError
from misstep.models import ADAPTER_NOTE
from misstep.redact import redact, switched
from misstep.train.card import shown

_TEXTS = ("README.md", "adapter_config.json", ADAPTER_NOTE)
_WEIGHTS = "adapter_model.safetensors"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What would be sent, and where to."""

    repo: str
    public: bool
    files: tuple[tuple[str, Path | bytes], ...]
    """Name in the repository, and the file or its bytes."""

    def lines(self) -> Iterator[str]:
        """The plan in words."""
        yield f"{self.repo} ({'public' if self.public else 'private'}):"
        for name, data in self.files:
            size = len(data) if isinstance(data, bytes) else data.stat().st_size
            yield f"  {size:12,} bytes  {name}"


def check_repo(repo: str) -> None:
    """Whether this can be the name of a repository.

    Raises:
        InputError: it cannot.
    """
    if not _REPO.fullmatch(repo):
        raise InputError(f"--push-to-hub {repo}: expected OWNER/NAME, such as acme/my-agent-dpo")


def plan_upload(adapter: Path, words: Any, *, repo: str, public: bool) -> Upload:
    """The files of an adapter, and those that `words` (a tokenizer or processor) saves.

    Raises:
        InputError: the folder holds no adapter, or `repo` is no name.
    """
    check_repo(repo)
    weights = adapter / _WEIGHTS
    if not weights.is_file():
        raise InputError(f"{adapter}: holds no {_WEIGHTS}; finish a run first")
    texts = [
        (name, _clean(_public(name, (adapter / name).read_bytes())))
        for name in _TEXTS
        if (adapter / name).is_file()
    ]
    known = {name for name, _ in texts}
    more = [
        (name, _clean(data) if name.endswith("_config.json") else data)
        for name, data in _saved(words)
        if name not in known
    ]
    return Upload(repo=repo, public=public, files=((_WEIGHTS, weights), *texts, *more))


def _public(name: str, data: bytes) -> bytes:
    """A file of the adapter without the place of its base and without hashes of what it learned."""
    if not name.endswith(".json"):
        return data
    known = json.loads(data)
    for key in ("rows_sha256", "continued"):
        known.pop(key, None)
    for key in ("base", "base_model_name_or_path"):
        if isinstance(known.get(key), str):
            known[key] = shown(known[key])
    return json.dumps(known, indent=2).encode()


def _clean(data: bytes) -> bytes:
    """A text without secrets and people, whatever else is switched off."""
    with switched(True):
        return redact(data.decode("utf-8"), personal=True).text.encode()


def _saved(words: Any) -> list[tuple[str, bytes]]:
    """The files that a tokenizer or a processor saves."""
    with tempfile.TemporaryDirectory() as folder:
        words.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]


def upload(planned: Upload) -> str:
    """Send it, in one commit; gives the address.

    The token is the Hub client's own (`hf auth login` or HF_TOKEN), and so is the endpoint.

    Raises:
        InputError: the repository is there and public, and nobody said that it may be; or private,
            and was to be public.
        StageError: the Hub did not take it.
    """
    import os

    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        made = api.create_repo(planned.repo, private=not planned.public, exist_ok=True)
        private = api.model_info(planned.repo).private
        if bool(private) == planned.public:
            raise InputError(
                f"{planned.repo}: is there already and is "
                + (
                    "private; leave --public out, make it public in its settings,"
                    if private
                    else "public; give --public to write to it,"
                )
                + " or give another name"
            )
        added = [CommitOperationAdd(name, data) for name, data in planned.files]
        message = "Adapter trained by misstep"
        api.create_commit(planned.repo, added, commit_message=message)
    except LocalTokenNotFoundError:
        raise InputError("the Hub wants a token; run `hf auth login` or set HF_TOKEN") from None
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise StageError(
            f"{planned.repo}: the Hub did not take the adapter ({said[0]}); the run is kept, so "
            f"the same command tries again"
        ) from None
    return str(made)
