"""Output of a run: a folder, or an object store and a work folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.errors import OutputError, UsageError
from inventory.printable import shell_word
from inventory.runs.folder import RunFolder, default_folder
from inventory.storage.object_store import ObjectUrl, is_url, parse
from inventory.user_paths import exists, home_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STATE: Final = "XDG_STATE_HOME"
_NAME_CHARACTERS: Final = 60
_URL_WITHOUT_SLASHES: Final = re.compile(r"(?i)(s3|obs):(?!//)")


class Output(NamedTuple):
    """Output of a run; as text, its folder or URL.

    Attributes:
        url: the object store for the results; None: they stay in the folder.
        work_dir_named: the user chose the work folder of a run into a store.
        unnamed: the user named no folder; :func:`reserve_folder` chooses one.
    """

    folder: Path
    url: ObjectUrl | None = None
    work_dir_named: bool = False
    unnamed: bool = False

    def __str__(self) -> str:
        return str(self.folder if self.url is None else self.url)

    @property
    def options(self) -> str:
        """Command line options for this output."""
        work_dir = f" --work-dir {shell_word(str(self.folder))}" if self.work_dir_named else ""
        return f"--output {shell_word(str(self))}{work_dir}"


@contextmanager
def reserve_folder(output: Output) -> Iterator[Output]:
    """Makes a new folder if the user named none, and removes it after the block if it is empty.

    Raises:
        OutputError: the folder cannot be made.
    """
    if not output.unnamed:
        yield output
        return
    output = output._replace(folder=_make_folder())
    try:
        yield output
    finally:
        with suppress(OSError):  # not empty
            output.folder.rmdir()


def _make_folder() -> Path:
    while True:
        folder = default_folder()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError as error:
            if folder.parent.is_dir():  # another process made the folder in the meantime
                continue
            raise OutputError.from_os_error(folder, "cannot be written", error, "give another --output") from None
        except OSError as error:
            raise OutputError.from_os_error(folder, "cannot be written", error, "give another --output") from None
        return folder


def resolve_output(text: str | None, work_dir: Path | None, environment: Mapping[str, str], *, resume: bool) -> Output:
    """Returns the output for ``--output`` and ``--work-dir``.

    Raises:
        UsageError: the options contradict each other, the URL is invalid, or there is no run to resume.
    """
    if text == "":  # probably an unset variable; an empty path would mean the current folder
        raise UsageError("--output is an empty text; name a folder")
    if text is not None and _URL_WITHOUT_SLASHES.match(text):
        raise UsageError(f"--output {text!r} is no URL; give s3://bucket/prefix or obs://bucket/prefix")
    if text is None or not is_url(text):
        if work_dir is not None:
            raise UsageError("--work-dir needs an --output of s3:// or obs://; an output folder contains its ledger")
        return output_for_folder(None if text is None else Path(text))
    url = parse(text)
    output = Output(work_dir or default_work_dir(url, environment), url, work_dir is not None)
    if resume and not exists(RunFolder(output.folder).ledger):
        raise UsageError(
            f"--resume: {output.folder} contains no ledger of {url}; resume on the machine of that run, or name its "
            "folder with --work-dir; if it is lost, start again with --overwrite"
        )
    return output


def output_for_folder(folder: Path | None) -> Output:
    """Returns the output for a folder; None: a new default folder."""
    return Output(default_folder(), unnamed=True) if folder is None else Output(folder)


def default_work_dir(url: ObjectUrl, environment: Mapping[str, str]) -> Path:
    """Returns the work folder for a URL, in the user's state directory; always the same for the same URL.

    Raises:
        UsageError: there is no writable state directory.
    """
    state = Path(environment.get(_STATE) or "")
    if not state.is_absolute():
        state = _default_state_folder()
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{url.bucket}-{url.prefix}")[:_NAME_CHARACTERS]
    digest = hashlib.sha256(str(url).encode()).hexdigest()[:12]
    return state / "functiongraph-inventory" / f"{url.scheme}-{readable}-{digest}"


def _default_state_folder() -> Path:
    home = home_folder()
    state = None if home is None else home / ".local" / "state"
    if state is not None and os.access(next(filter(exists, (state, *state.parents))), os.W_OK | os.X_OK):
        return state
    problem = "this user has no home folder" if state is None else f"{state} cannot be written"
    raise UsageError(f"a run into a store needs a work folder, and {problem}: name a folder with --work-dir")


def resume_command(output: Output) -> str:
    """Returns the command that continues a run."""
    return f"{program_name(sys.argv[0])} export --resume {output.options}"


def tables_command(folder: Path) -> str:
    """Returns the command that builds the tables of a run again."""
    return f"{program_name(sys.argv[0])} tables {shell_word(str(folder))}"


def program_name(program: str) -> str:
    """Returns the word that starts a program in this shell: its name if PATH finds it, else its path."""
    found = shutil.which(Path(program).name)
    if program.endswith("__main__.py"):
        return f"{program_name(sys.executable)} -m inventory"
    is_found = found and exists(Path(program)) and Path(found).parent.samefile(Path(program).parent)
    return Path(program).name if is_found else shell_word(os.path.relpath(program))
