"""Uploads to a real S3 server on loopback."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import threading

import pytest
from support.object_store import ACCESS_KEY, BUCKET, SECRET_KEY
from support.processes import begin
from support.runs import TOKEN, export, manifest_of, run_cli

import inventory
from inventory.emulator import Emulator, Reply
from inventory.errors import CredentialsError, ExitCode, InterruptedRunError, OutputError, UsageError
from inventory.progress import ProgressObserver
from inventory.runs.output import Output
from inventory.runs.upload import Upload
from inventory.storage.object_store import ObjectUrl, parse

PREFIX = "runs/today"
TEXT = f"s3://{BUCKET}/{PREFIX}"
TABLES = ("functions", "destinations", "calls", "rejects", "scopes")
FILES = [f"{table}.{suffix}" for table in TABLES for suffix in ("parquet", "csv")]


@pytest.fixture
def server():
    emulator = Emulator(functions=40, token=TOKEN)
    with emulator.in_thread():
        yield emulator


@pytest.fixture
def run(store, server, tmp_path, write_list):
    path = write_list([*server.urns(), "odd"])

    async def go(*, mode="new", url=TEXT, work="work", again=False, **more):
        place = Output(tmp_path / work, parse(url), work_dir_named=True)
        environment = {"HW_AUTH_TOKEN": TOKEN, **store.environment()}
        sources = [] if again else path
        return await export(sources, place, mode=mode, environment=environment, endpoint=server.url, **more)

    return go


def refuse(store, *, method, name):
    store.fault = lambda request: (
        (403, "AccessDenied") if request["REQUEST_METHOD"] == method and request["PATH_INFO"].endswith(name) else None
    )


async def test_a_run_in_a_store_is_a_run_in_a_folder(run, store, server, tmp_path, write_list):
    result = await run()
    await export(write_list([*server.urns(), "odd"]), tmp_path / "local", endpoint=server.url)
    objects = {key.removeprefix(f"{PREFIX}/"): content for key, content in store.objects().items()}
    assert sorted(objects) == sorted([*FILES, "manifest.json"])
    for name in FILES:
        if not name.startswith(("calls", "scopes")):
            assert objects[name] == (tmp_path / "local" / name).read_bytes(), name
    for name, content in objects.items():
        assert content == (tmp_path / "work" / name).read_bytes(), name
    assert json.loads(objects["manifest.json"]) == result.manifest
    assert (str(result.output), result.exit_code) == (TEXT, ExitCode.ANSWERED)


async def test_the_manifest_goes_up_last_and_once_all_is_there(run, store):
    await run()
    assert store.writes() == [*(f"+{name}" for name in FILES), "+manifest.json"]


@pytest.mark.parametrize("name", ["functions.parquet", "calls.csv", "rejects.csv", "manifest.json"])
async def test_a_failed_upload_is_resumed_without_a_call(run, store, server, tmp_path, name):
    refuse(store, method="POST", name=name)
    with pytest.raises(OutputError, match=r"denies access .* all answers are kept, and --resume uploads") as failed:
        await run()
    assert failed.value.exit_code == ExitCode.OUTPUT
    up = [key.rsplit("/", 1)[-1] for key in store.objects()]
    assert "manifest.json" not in up
    asked = len(server.requests)
    store.log.clear()
    store.fault = lambda _request: None
    result = await run(mode="resume", again=True)
    assert (len(server.requests), result.nothing_to_do) == (asked, False)
    assert store.writes() == [f"+{file}" for file in [*FILES, "manifest.json"] if file not in up]
    assert json.loads(store.objects()[f"{PREFIX}/manifest.json"]) == manifest_of(tmp_path / "work")


async def test_a_whole_run_that_is_resumed_does_nothing(run, store, server):
    await run()
    asked = len(server.requests)
    store.log.clear()
    result = await run(mode="resume", again=True)
    assert (len(server.requests), result.nothing_to_do, store.writes()) == (asked, True, [])


@pytest.mark.parametrize("loss", ["changed", "removed"])
async def test_what_somebody_else_changed_is_sent_again(run, store, loss):
    await run()
    key = f"{PREFIX}/calls.csv"
    before = store.objects()
    if loss == "changed":
        store.client().put_object(Bucket=BUCKET, Key=key, Body=b"other")
    else:
        store.client().delete_object(Bucket=BUCKET, Key=key)
    store.log.clear()
    await run(mode="resume", again=True)
    assert store.writes() == ["-manifest.json", "+calls.csv", "+manifest.json"]
    assert store.objects() == before


async def test_a_prefix_that_holds_a_run_is_not_written_over(run, store, server):
    await run()
    before, asked = store.objects(), len(server.requests)
    with pytest.raises(OutputError, match=rf"{TEXT} contains a run already \(manifest.json\): --resume .*--overwrite"):
        await run(work="another")
    assert (store.objects(), len(server.requests)) == (before, asked)


async def test_half_a_run_in_the_store_is_a_run_too(run, store, tmp_path):
    refuse(store, method="POST", name="manifest.json")
    with pytest.raises(OutputError):
        await run()
    store.fault = lambda _request: None
    shutil.rmtree(tmp_path / "work")
    with pytest.raises(OutputError, match="contains a run already"):
        await run()


async def test_other_objects_under_the_prefix_stay(run, store):
    for name in ("notes.txt", "other.parquet", "functions/notes.txt"):
        store.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=b"mine")
    await run()
    await run(mode="overwrite", format=("csv",))
    for name in ("notes.txt", "other.parquet", "functions/notes.txt"):
        assert store.objects()[f"{PREFIX}/{name}"] == b"mine"


async def test_overwriting_takes_the_manifest_away_first(run, store):
    await run()
    store.log.clear()
    await run(mode="overwrite", work="another", format=("csv",))
    writes = store.writes()
    assert writes[0] == "-manifest.json"
    assert sorted(writes[1:6]) == [f"-{table}.parquet" for table in sorted(TABLES)]
    assert writes[6:] == [*(f"+{table}.csv" for table in TABLES), "+manifest.json"]
    names = {key.rsplit("/", 1)[-1] for key in store.objects()}
    assert names == {"manifest.json", *(f"{table}.csv" for table in TABLES)}


async def test_an_overwriting_run_that_failed_goes_on(run, store):
    await run()
    refuse(store, method="DELETE", name="manifest.json")
    with pytest.raises(OutputError):
        await run(mode="overwrite", work="another")
    store.fault = lambda _request: None
    result = await run(mode="resume", again=True, work="another")
    assert json.loads(store.objects()[f"{PREFIX}/manifest.json"]) == result.manifest


async def test_a_run_of_somebody_else_is_not_resumed_over(run, store, server):
    await run()
    await run(mode="overwrite", work="another")
    before, asked = store.objects(), len(server.requests)
    with pytest.raises(OutputError, match=r"contains another run than .*work: start again with --overwrite"):
        await run(mode="resume", again=True)
    assert (store.objects(), len(server.requests)) == (before, asked)


async def test_of_two_runs_at_once_the_first_that_is_whole_stays(run, store):
    class Slow(ProgressObserver):
        def on_build_tables(self, *_how_far):
            store.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/manifest.json", Body=b"{}")

    with pytest.raises(OutputError, match="contains another run than"):
        await run(observer=Slow())
    assert store.objects() == {f"{PREFIX}/manifest.json": b"{}"}


async def test_of_two_exports_at_once_one_is_whole_and_the_other_ends_with_code_4(run, store, tmp_path):
    results = await asyncio.gather(run(work="one"), run(work="other"), return_exceptions=True)
    lost = [result for result in results if isinstance(result, OutputError)]
    assert [error.exit_code for error in lost] == [ExitCode.OUTPUT]
    winner = "one" if isinstance(results[1], OutputError) else "other"
    names = [*FILES, "manifest.json"]
    assert store.objects() == {f"{PREFIX}/{name}": (tmp_path / winner / name).read_bytes() for name in names}


async def test_a_run_that_finished_during_another_stays_and_the_other_goes_elsewhere(run, store, server, tmp_path):
    before = {}

    class Meanwhile(ProgressObserver):
        def on_build_tables(self, *_progress):
            if not before:
                done = threading.Thread(target=lambda: asyncio.run(run(work="other")))
                done.start()
                done.join()
                before.update(store.objects())

    with pytest.raises(OutputError, match=r"contains another run than .*; all answers are kept in .* --output uploads"):
        await run(observer=Meanwhile())
    assert f"{PREFIX}/manifest.json" in before
    assert store.objects() == before
    calls = len(server.requests)
    result = await run(mode="resume", again=True, url=f"{TEXT}-2")
    assert (len(server.requests), result.exit_code) == (calls, ExitCode.ANSWERED)
    objects = {key: content for key, content in store.objects().items() if key.startswith(f"{PREFIX}-2/")}
    assert objects == {
        f"{PREFIX}-2/{name}": (tmp_path / "work" / name).read_bytes() for name in [*FILES, "manifest.json"]
    }
    assert {key: content for key, content in store.objects().items() if key not in objects} == before


async def test_the_record_of_another_url_is_not_believed(run, store, tmp_path):
    await run()
    await run(mode="resume", again=True, url=f"{TEXT}-2")
    await run(mode="resume", again=True, url=f"{TEXT}-3", format=("csv",))
    for url in (f"{PREFIX}-2", f"{PREFIX}-3"):
        assert {key.removeprefix(f"{url}/") for key in store.objects() if key.startswith(f"{url}/")} == {
            *FILES,
            "manifest.json",
        }
    assert not Upload(parse(TEXT), tmp_path / "work", {}).is_done()
    assert Upload(parse(f"{TEXT}-3"), tmp_path / "work", {}).is_done()


@pytest.mark.parametrize("name", ["calls.csv", "manifest.json"])
async def test_an_object_of_another_size_than_was_sent_is_an_error(run, store, name):
    def shorten(request):
        if request["REQUEST_METHOD"] == "HEAD" and request["PATH_INFO"].endswith(f"/{name}"):
            store.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=b"short")

    store.fault = shorten
    with pytest.raises(OutputError, match=rf"does not contain {name} as it was sent; check the endpoint"):
        await run()


async def test_a_table_that_another_process_changes_during_the_upload_is_an_error(run, store):
    def change(request):
        if request["REQUEST_METHOD"] == "POST" and request["PATH_INFO"].endswith("/rejects.csv"):
            store.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/functions.csv", Body=b"of another")

    store.fault = change
    with pytest.raises(
        OutputError, match=r"functions\.csv was changed by another process .* --resume uploads the rest"
    ):
        await run()
    assert f"{PREFIX}/manifest.json" not in store.objects()
    store.fault = lambda _request: None
    await run(mode="resume", again=True)
    assert store.objects()[f"{PREFIX}/functions.csv"] != b"of another"


async def test_a_folder_of_another_program_with_the_name_of_a_table_stays_in_the_store(run, store):
    key = f"{PREFIX}/functions.csv/part-00000.csv"
    store.client().put_object(Bucket=BUCKET, Key=key, Body=b"mine")
    for mode in ("new", "overwrite"):
        await run(mode=mode)
        assert store.objects()[key] == b"mine"
        assert {f"{PREFIX}/{name}" for name in [*FILES, "manifest.json"]} <= set(store.objects())


@pytest.mark.parametrize("url", ["s3://no-such-bucket/x", "obs://no-such-bucket/x"])
async def test_a_wrong_bucket_is_said_before_anything_is_asked(run, server, tmp_path, url):
    with pytest.raises(OutputError, match="there is no such bucket"):
        await run(url=url)
    assert not server.requests
    assert not (tmp_path / "work").exists()


async def test_a_key_that_the_store_does_not_know_is_said_before_anything_is_asked(run, store, server):
    with store.refusing_strangers(), pytest.raises(OutputError, match=r"denies access|refuses the credential"):
        await run()
    assert not server.requests


async def test_a_store_that_only_pretends_is_found_out(run, store):
    store.fault = lambda request: (200, "") if request["REQUEST_METHOD"] in {"POST", "PUT"} else None
    with pytest.raises(OutputError, match=r"does not contain \.inventory-claim-\w{16} as it was sent; .*endpoint"):
        await run()


async def test_a_table_that_was_changed_since_is_not_sent(run, store, tmp_path):
    refuse(store, method="POST", name="calls.csv")
    with pytest.raises(OutputError):
        await run()
    store.fault = lambda _request: None
    table = tmp_path / "work" / "calls.csv"
    table.write_bytes(table.read_bytes()[::-1])
    with pytest.raises(OutputError, match=r"calls\.csv differs from the file that this run wrote; remove it"):
        await run(mode="resume", again=True)
    assert f"{PREFIX}/calls.csv" not in store.objects()
    table.unlink()
    await run(mode="resume", again=True)
    assert store.objects()[f"{PREFIX}/calls.csv"] == table.read_bytes()


async def test_a_record_that_is_damaged_costs_only_time(run, store, tmp_path):
    refuse(store, method="POST", name="manifest.json")
    with pytest.raises(OutputError):
        await run()
    store.fault = lambda _request: None
    (tmp_path / "work" / "delivery.json").write_text("{")
    (key,) = [key for key in store.objects() if ".inventory-claim-" in key]
    with pytest.raises(OutputError, match=rf"is claimed by another run \({key.removeprefix(PREFIX + '/')}\)"):
        await run(mode="resume", again=True)
    store.client().delete_object(Bucket=BUCKET, Key=key)
    store.log.clear()
    await run(mode="resume", again=True)
    assert store.writes() == [*(f"+{name}" for name in FILES), "+manifest.json"]
    (tmp_path / "work" / "delivery.json").unlink()
    with pytest.raises(OutputError, match="contains another run"):
        await run(mode="resume", again=True)


@pytest.mark.parametrize("name", ["functions.parquet", "rejects.csv", "manifest.json"])
def test_a_killed_upload_goes_on(store, server, tmp_path, write_list, name):
    arguments = ["export", write_list(server.urns()), "--endpoint", server.url, "--output", TEXT, "--format", "csv"]

    def kill_at_the_file(request):
        if request["REQUEST_METHOD"] in {"PUT", "POST"} and request["PATH_INFO"].endswith(name):
            process.kill()

    with begin(*arguments, "--format", "parquet") as process:
        store.fault = kill_at_the_file
        assert process.wait() == -signal.SIGKILL
    assert f"{PREFIX}/manifest.json" not in store.objects()
    store.fault = lambda _request: None
    asked = len(server.requests)
    done = run_cli("export", "--resume", "--output", TEXT)
    assert (done.returncode, done.stdout, len(server.requests)) == (0, f"{TEXT}\n", asked), done.stderr
    (work,) = (tmp_path / "state" / "functiongraph-inventory").iterdir()
    assert store.objects() == {f"{PREFIX}/{one}": (work / one).read_bytes() for one in [*FILES, "manifest.json"]}


async def test_failures_that_are_asked_again_replace_what_is_there(run, store, server):
    server.plan({next(iter(server.urns())): [Reply(500, b"{}")]})
    first = await run(attempts=1, batch=False)
    assert first.exit_code == ExitCode.SOME_FAILED
    store.log.clear()
    second = await run(mode="resume", again=True)
    assert second.exit_code == ExitCode.ANSWERED
    assert store.writes()[0] == "-manifest.json"
    assert store.writes()[-1] == "+manifest.json"
    assert "+rejects.csv" not in store.writes()
    assert json.loads(store.objects()[f"{PREFIX}/manifest.json"]) == second.manifest


async def test_a_signal_ends_the_upload_in_good_order(run, store):
    observer = ProgressObserver()

    def stop(request):
        if request["PATH_INFO"].endswith("calls.csv"):
            observer.cancel(signal.SIGTERM)

    store.fault = stop
    with pytest.raises(InterruptedRunError) as stopped:
        await run(observer=observer)
    assert stopped.value.resumable
    assert f"{PREFIX}/manifest.json" not in store.objects()
    store.fault = lambda _request: None
    result = await run(mode="resume", again=True)
    assert json.loads(store.objects()[f"{PREFIX}/manifest.json"]) == result.manifest


async def test_a_stop_outweighs_the_error_that_came_with_it(run, store):
    observer = ProgressObserver()

    def stop_and_refuse(request):
        if not request["PATH_INFO"].endswith("calls.csv"):
            return None
        observer.cancel(signal.SIGINT)
        return (403, "AccessDenied")

    store.fault = stop_and_refuse
    with pytest.raises(InterruptedRunError):
        await run(observer=observer)


async def test_how_far_the_upload_is_can_be_watched(run, store):
    reported = []

    class Looking(ProgressObserver):
        def on_upload(self, sent, total):
            reported.append((sent, total))

    await run(observer=Looking())
    sent = [sent for sent, _ in reported]
    assert sent == sorted(sent)
    assert {total for _, total in reported} == {sent[-1]} == {sum(map(len, store.objects().values()))}


async def test_obs_keys_are_needed_before_anything_is_asked(server, tmp_path, write_list):
    place = Output(tmp_path / "work", ObjectUrl("obs", BUCKET, PREFIX))
    with pytest.raises(CredentialsError, match="set HW_ACCESS_KEY and HW_SECRET_KEY"):
        await export(write_list(server.urns()), place, endpoint=server.url)
    assert not server.requests
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("scheme", ["s3", "obs"])
async def test_a_snapshot_is_read_from_the_store(run, tmp_path, scheme):
    url = TEXT.replace("s3", scheme)
    await run(url=url)
    there, here = inventory.open_snapshot(url), inventory.open_snapshot(tmp_path / "work")
    assert there.manifest == here.manifest
    for table in TABLES:
        assert there.table(table).equals(here.table(table))
    assert there.functions.equals(here.functions)
    assert repr(there).startswith(f"Snapshot('{url}': ")


async def test_a_snapshot_of_csv_alone_is_read_from_the_store(run):
    await run(format=("csv",))
    assert len(inventory.open_snapshot(TEXT).rejects) == 1


async def test_a_snapshot_says_what_is_not_whole(run, store):
    with pytest.raises(
        UsageError, match=rf"{TEXT} holds no manifest.json: no run, or one whose tables are not all there"
    ):
        inventory.open_snapshot(TEXT)
    await run()
    store.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/calls.parquet", Body=b"other")
    with pytest.raises(OutputError, match=rf"{TEXT}/calls.parquet differs from the manifest"):
        inventory.open_snapshot(TEXT).table("calls")
    store.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/manifest.json", Body=b"{")
    with pytest.raises(OutputError, match=rf"{TEXT}/manifest.json is damaged"):
        inventory.open_snapshot(TEXT)


def test_python_exports_to_a_store(store, server, tmp_path, write_list, monkeypatch):
    monkeypatch.setenv("HW_AUTH_TOKEN", TOKEN)
    snapshot = inventory.export(
        write_list(server.urns()), TEXT, work_dir=tmp_path / "work", endpoint=server.url, max_per_second=0.0
    )
    assert str(snapshot.path) == TEXT
    assert len(snapshot.functions) == len(set(server.urns()))
    assert (tmp_path / "work" / "ledger.sqlite").exists()


def test_the_command_prints_the_url_and_tells_no_secret(store, server, tmp_path, write_list):
    path = write_list(server.urns())
    done = run_cli("export", path, "--endpoint", server.url, "--output", f"{TEXT}/", "--max-per-second", "0")
    assert (done.returncode, done.stdout) == (0, f"{TEXT}\n"), done.stderr
    (work,) = (tmp_path / "state" / "functiongraph-inventory").iterdir()
    kept = [file.read_bytes() for file in work.iterdir()] + list(store.objects().values())
    for secret in (SECRET_KEY, ACCESS_KEY, TOKEN):
        assert secret not in done.stderr
        assert not any(secret.encode() in content for content in kept)
    again = run_cli("export", "--resume", "--output", TEXT)
    assert (again.returncode, again.stdout) == (0, f"{TEXT}\n")
    assert f"{TEXT} is complete: nothing was left to do" in again.stderr
    shutil.rmtree(work)
    gone = run_cli("export", "--resume", "--output", TEXT)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert "start again with --overwrite" in gone.stderr


def test_the_command_says_a_failed_upload_and_its_way_on(store, server, tmp_path, write_list):
    refuse(store, method="POST", name="calls.parquet")
    arguments = ["export", write_list(server.urns()), "--endpoint", server.url, "--output", TEXT]
    done = run_cli(*arguments, "--work-dir", tmp_path / "work", "--max-per-second", "0")
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (4, "", False)
    assert "the store denies access (ACCESS_DENIED in " in done.stderr
    assert "--resume uploads the rest" in done.stderr
    assert SECRET_KEY not in done.stderr
    store.fault = lambda _request: None
    again = run_cli("export", "--resume", "--output", TEXT, "--work-dir", tmp_path / "work")
    assert (again.returncode, again.stdout) == (0, f"{TEXT}\n"), again.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "s3://AKIAX:SECRETX@bucket/x"], "a store's URL must contain no user or password"),
        (["--output", "s3://bucket/x?secret=SECRETX"], "a store's URL must contain no query or fragment"),
        (["--output", "x", "--work-dir", "y"], "--work-dir needs an --output of s3:// or obs://"),
    ],
)
def test_the_command_refuses_what_cannot_be_meant(tmp_path, write_list, arguments, words):
    done = run_cli("export", write_list(["x"]), *arguments, cwd=tmp_path)
    assert (done.returncode, words in done.stderr, "SECRETX" in done.stderr) == (2, True, False), done.stderr


def test_a_demo_goes_into_a_folder(tmp_path):
    done = run_cli("demo", "--output", "s3://bucket/demo", cwd=tmp_path)
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())


async def test_a_work_folder_that_cannot_be_made_is_said(run, tmp_path):
    (tmp_path / "work").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        await run()


async def test_an_empty_list_goes_up_too(run, store, tmp_path, server, write_list):
    place = Output(tmp_path / "work", ObjectUrl("s3", BUCKET, PREFIX))
    environment = {"HW_AUTH_TOKEN": TOKEN, **store.environment()}
    result = await export(write_list(["odd"]), place, environment=environment, endpoint=server.url)
    assert result.exit_code == ExitCode.USAGE
    assert f"{PREFIX}/manifest.json" in store.objects()


async def test_a_list_that_cannot_be_read_leaves_the_store_as_it_was(run, store, tmp_path):
    await run()
    before = store.objects()
    with pytest.raises(UsageError):
        await run(mode="overwrite", again=True)
    assert store.objects() == before
