"""Where the results of a run go, and where it works: one folder, or an object store and a work folder.

Owns what ``--output`` and ``--work-dir`` mean together. Reaches no store.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.errors import OutputError, UsageError
from inventory.home import exists, home
from inventory.printable import shell_word
from inventory.runs.folder import RunFolder, default_folder
from inventory.storage.object_store import ObjectUrl, is_url, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STATE: Final = "XDG_STATE_HOME"
_NAME_CHARACTERS: Final = 60


class Output(NamedTuple):
    """Where a run's results go; as text, the words that a user knows it by.

    Attributes:
        folder: where the run works, with its ledger.
        url: the store that the results go up to; None where they stay in the folder.
        work_dir_named: whether the user chose the folder of a run that goes to a store.
        unnamed: whether nobody said a folder: then :func:`claimed` settles which it is.
    """

    folder: Path
    url: ObjectUrl | None = None
    work_dir_named: bool = False
    unnamed: bool = False

    def __str__(self) -> str:
        return str(self.folder if self.url is None else self.url)

    @property
    def options(self) -> str:
        """The options that name it again."""
        work_dir = f" --work-dir {shell_word(str(self.folder))}" if self.work_dir_named else ""
        return f"--output {shell_word(str(self))}{work_dir}"


@contextmanager
def claimed(output: Output) -> Iterator[Output]:
    """The output with a folder that no other run has: where nobody named one, it is made here, by one process alone.

    A folder that is empty afterwards is removed again.

    Raises:
        OutputError: it cannot be made.
    """
    if not output.unnamed:
        yield output
        return
    output = output._replace(folder=_made_alone())
    try:
        yield output
    finally:
        with suppress(OSError):  # as a rule it is not empty
            output.folder.rmdir()


def _made_alone() -> Path:
    while True:
        folder = default_folder()  # one that was not there a moment ago
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError as error:
            if folder.parent.is_dir():
                continue
            raise OutputError.from_os_error(folder, "cannot be written", error, "give another --output") from None
        except OSError as error:
            raise OutputError.from_os_error(folder, "cannot be written", error, "give another --output") from None
        return folder


def chosen_output(text: str | None, work_dir: Path | None, environment: Mapping[str, str], *, resume: bool) -> Output:
    """The output that options name.

    Raises:
        UsageError: they do not fit together, the URL is none of ours, or the run to go on with is not here.
    """
    if text == "":  # an unset variable, and not the folder that one happens to be in
        raise UsageError("--output is an empty text; name a folder")
    if text is None or not is_url(text):
        if work_dir is not None:
            raise UsageError("--work-dir goes with an --output of s3:// or obs://; a folder holds its ledger itself")
        return named_output(None if text is None else Path(text))
    url = parse(text)
    output = Output(work_dir or default_work_dir(url, environment), url, work_dir is not None)
    if resume and not exists(RunFolder(output.folder).ledger):
        raise UsageError(
            f"--resume: {output.folder} holds no ledger of {url}; go on where that run began, or name its folder with "
            "--work-dir; where it is gone, --overwrite begins again"
        )
    return output


def named_output(folder: Path | None) -> Output:
    """The output of a folder, or of none that was named."""
    return Output(default_folder(), unnamed=True) if folder is None else Output(folder)


def default_work_dir(url: ObjectUrl, environment: Mapping[str, str]) -> Path:
    """The folder of a URL's run under the user's state directory: the same whenever the URL is the same.

    Raises:
        UsageError: there is no such directory, and none can be made.
    """
    state = Path(environment.get(_STATE) or "")
    if not state.is_absolute():
        state = _state_at_home()
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{url.bucket}-{url.prefix}")[:_NAME_CHARACTERS]
    digest = hashlib.sha256(str(url).encode()).hexdigest()[:12]
    return state / "functiongraph-inventory" / f"{url.scheme}-{readable}-{digest}"


def _state_at_home() -> Path:
    own = home()
    state = None if own is None else own / ".local" / "state"
    if state is not None and os.access(next(filter(exists, (state, *state.parents))), os.W_OK | os.X_OK):
        return state
    what = "this user has no home folder" if state is None else f"{state} cannot be written"
    raise UsageError(f"a run into a store works in a folder, and {what}: name one with --work-dir")
