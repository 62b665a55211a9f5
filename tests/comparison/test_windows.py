"""Tables are read side by side: each window has all rows of its URNs."""

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.written_runs import config, leading, side, urn, write_run

import inventory
from inventory.comparison.windows import BYTES_PER_WINDOW, TableReader, read_ahead, read_windows
from inventory.runs.files import open_run
from inventory.tables import schema

NAMES = st.lists(st.integers(0, 30), max_size=20, unique=True)
BOTH = leading(on_success=side("SMN", "{}"), on_failure=side("SMN", "{}"))


def readers_of(*folders):
    runs = [open_run(folder) for folder in folders]
    return [
        TableReader(run, table, columns)
        for table, columns in (
            (schema.FUNCTIONS, ("function_urn", "status")),
            (schema.DESTINATIONS, ("function_urn", "event")),
        )
        for run in runs
    ]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=NAMES, new=NAMES, batch=st.integers(1, 5), window=st.integers(1, 9), per_file=st.integers(0, 3))
def test_windows_have_all_rows_of_their_urns(tmp_path, monkeypatch, old, new, batch, window, per_file):
    monkeypatch.setattr("inventory.comparison.windows.ROWS_PER_BATCH", batch)
    monkeypatch.setattr("inventory.comparison.windows.ROWS_PER_WINDOW", window)
    folders = [
        write_run(
            tmp_path / name, {urn(f"f{n:02}"): BOTH if n % 3 else config() for n in numbers}, rows_per_file=per_file
        )
        for name, numbers in (("old", old), ("new", new))
    ]
    read = [[], [], [], []]
    before = ""
    for end, tables in read_windows(readers_of(*folders)):
        for rows, table in zip(read, tables, strict=True):
            urns = table.column(0).to_pylist()
            assert all(before < one <= end for one in urns)
            rows.extend(urns)
        before = end
    for numbers, functions, destinations in ((old, read[0], read[2]), (new, read[1], read[3])):
        assert functions == [urn(f"f{n:02}") for n in sorted(numbers)]
        assert destinations == [urn(f"f{n:02}") for n in sorted(numbers) if n % 3 for _ in range(2)]


def test_windows_end_where_they_are_cancelled(tmp_path, monkeypatch):
    monkeypatch.setattr("inventory.comparison.windows.ROWS_PER_BATCH", 1)
    monkeypatch.setattr("inventory.comparison.windows.ROWS_PER_WINDOW", 1)
    run = write_run(tmp_path / "run", {urn(f"f{n}"): config() for n in range(5)})
    seen = []
    for end, _ in read_windows(readers_of(run), lambda: len(seen) == 2):
        seen.append(end)
    assert seen == [urn("f0"), urn("f1")]


def test_reading_ahead_gives_the_items_and_closes_their_source():
    closed = []

    def items(count, error=None):
        try:
            yield from range(1, count + 1)
            if error is not None:
                raise error
        finally:
            closed.append(count)

    assert list(read_ahead(items(3))) == [1, 2, 3]
    ahead = read_ahead(items(9))
    assert next(ahead) == 1
    ahead.close()
    failing = read_ahead(items(1, KeyError("x")))
    assert next(failing) == 1
    with pytest.raises(KeyError):
        next(failing)
    assert closed == [3, 9, 1]


SIZES = {
    "equal": lambda _: 400_000,
    "a few large among small": lambda number: 1_500_000 if number % 40 == 39 else 10,
    "large at the end": lambda number: 1_500_000 if number >= 580 else 10,
}


@pytest.mark.parametrize("formats", [("parquet",), ("csv",)])
@pytest.mark.parametrize("sizes", SIZES)
def test_memory_of_a_diff_is_bounded_in_bytes(tmp_path, formats, sizes):
    count = 80 if sizes == "equal" else 600
    runs = []
    for name in ("old", "new"):
        params = ({"prefix": "x" * SIZES[sizes](number), "run": name} for number in range(count))
        large = {urn(f"f{n:03}"): leading(on_failure=side("OBS", param)) for n, param in enumerate(params)}
        runs.append(write_run(tmp_path / name, large, formats=formats))
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(pool)
    try:
        assert inventory.diff(*runs).counts["changed"] == count
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() < 20 * BYTES_PER_WINDOW


def test_windows_are_bounded_in_bytes(tmp_path):
    large = {urn(f"f{n:03}"): leading(on_failure=side("OBS", {"prefix": "x" * 400_000, "n": n})) for n in range(60)}
    write_run(tmp_path / "old", large)
    readers = [TableReader(open_run(tmp_path / "old"), schema.DESTINATIONS, ("function_urn", "event", "param"))]
    tables = [table for _, (table,) in read_windows(readers)]
    assert sum(table.num_rows for table in tables) == 60
    assert max(table.nbytes for table in tables) <= 3 * BYTES_PER_WINDOW
