"""The demo: an emulated cloud with the everyday troubles of a real one, and a list of its functions.

Owns what the demo shows. Knows the emulator's door and the settings of an export; its caller runs the export.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.cloud.credentials import TOKEN_VARIABLE
from inventory.emulator import Emulator, Faults, GeneratedCloud, Limit
from inventory.errors import OutputError
from inventory.settings import ExportSettings
from inventory.sources.files import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST_NAME: Final = "urns.txt"
_TOKEN: Final = "the-token-of-the-demo"  # noqa: S105 - accepted by the emulator of this process only
_REGIONS: Final = ("cn-north-4", "ap-southeast-1")
_LIMIT: Final = "150/second"
_FAULTS: Final = "latency=20ms,5xx=1%,reset=0.5%,malformed=0.5%"
_ODD_ENTRIES: Final = (
    "# what follows is in most lists that people keep: a workflow, a note, and a URN twice",
    "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:workflow:default:nightly:latest",
    "ask Wei about the rest",
)


class Ready(NamedTuple):
    """A running emulator, and what an export of it needs."""

    source: Source
    folder: Path
    settings: ExportSettings
    environment: dict[str, str]
    words: tuple[str, ...]


@contextmanager
def prepared(functions: int, folder: Path) -> Iterator[Ready]:
    """Starts the emulator and writes its list into the run's folder, which must be a new or an empty one.

    Raises:
        OutputError: the list cannot be written, or the folder holds something.
    """
    cloud = GeneratedCloud(functions, regions=_REGIONS)
    server = Emulator(cloud, token=_TOKEN, limit=Limit.parse(_LIMIT), faults=Faults.parse(_FAULTS))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder} is not empty; give another --output")
        with (folder / LIST_NAME).open("x", encoding="utf-8") as listed:
            first = next(cloud.urns(), "")
            listed.writelines(f"{urn}\n" for urn in cloud.urns())
            listed.writelines(f"{line}\n" for line in (*_ODD_ENTRIES, first))
    except OSError as error:
        raise OutputError.from_os_error(folder, "cannot be written", error, "give another --output") from None
    with server.in_thread():
        yield Ready(
            Source(str(folder / LIST_NAME)),
            folder,
            ExportSettings(endpoint=server.url, format=("parquet", "csv")),
            {TOKEN_VARIABLE: _TOKEN},
            (
                f"An emulated FunctionGraph of {functions:,} functions in {len(_REGIONS)} regions at {server.url}.",
                f"It throttles at {_LIMIT} and errs now and then ({_FAULTS}).",
                f"Exporting the functions, versions and aliases listed in {folder / LIST_NAME} ...",
                "",
            ),
        )
