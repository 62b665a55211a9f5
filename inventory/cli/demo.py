"""The demo: an emulated cloud with faults, and a list of its functions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.cloud.credentials import TOKEN_VARIABLE
from inventory.display.formatting import format_count
from inventory.emulator import Emulator, Faults, GeneratedCloud, Limit
from inventory.errors import OutputError
from inventory.settings import ExportSettings
from inventory.sources.files import Source
from inventory.storage.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST_NAME: Final = "urns.txt"
PAGE_NAME: Final = "review.html"
_TOKEN: Final = "the-token-of-the-demo"  # noqa: S105 - accepted by the emulator of this process only
_REGIONS: Final = ("cn-north-4", "ap-southeast-1")
_LIMIT: Final = "150/second"
_FAULTS: Final = "latency=20ms,5xx=1%,reset=0.5%,malformed=0.5%"
_ODD_ENTRIES: Final = (
    "# most lists contain entries like these: a workflow, a note, a duplicate",
    "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:workflow:default:nightly:latest",
    "billing functions: see the wiki",
)


class Demo(NamedTuple):
    """What an export of the running emulator needs."""

    source: Source
    folder: Path
    settings: ExportSettings
    environment: dict[str, str]
    messages: tuple[str, ...]


@contextmanager
def start_demo(functions: int, folder: Path) -> Iterator[Demo]:
    """Starts the emulator and writes its list into the run's folder, which must be new or empty.

    Raises:
        OutputError: the list cannot be written, or the folder is not empty.
    """
    cloud = GeneratedCloud(functions, regions=_REGIONS)
    server = Emulator(cloud, token=_TOKEN, limit=Limit.parse(_LIMIT), faults=Faults.parse(_FAULTS))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder} is not empty; give another --output")
        with (folder / LIST_NAME).open("x", encoding="utf-8") as file:
            first = next(cloud.urns(), "")
            file.writelines(f"{urn}\n" for urn in cloud.urns())
            file.writelines(f"{line}\n" for line in (*_ODD_ENTRIES, first))
    except OSError as error:
        raise OutputError.from_os_error(folder, "cannot be written", error, "give another --output") from None
    size, regions = format_count(functions, "function"), format_count(len(_REGIONS), "region")
    with server.in_thread():
        yield Demo(
            Source(str(folder / LIST_NAME)),
            folder,
            ExportSettings(endpoint=server.url, format=("parquet", "csv")),
            {TOKEN_VARIABLE: _TOKEN},
            (
                f"An emulated FunctionGraph of {size} in {regions} at {server.url}.",
                f"It throttles at {_LIMIT} and sometimes fails ({_FAULTS}).",
                f"Exporting the functions, versions and aliases listed in {folder / LIST_NAME} ...",
                "",
            ),
        )


def write_review(folder: Path) -> str:
    """Reviews the run, writes the page into its folder, and returns the result in one sentence.

    Raises:
        OutputError: the page cannot be written.
    """
    from inventory.cli.signals import interrupted_by_signals
    from inventory.reviews.page.first_screen import headline
    from inventory.reviews.page.write import write_page
    from inventory.reviews.request import Request, review_run

    with (
        interrupted_by_signals(),
        review_run(folder, Request()) as reviewed,
        atomic_write(folder / PAGE_NAME) as file,
    ):
        write_page(reviewed, file)
        return headline(reviewed)
