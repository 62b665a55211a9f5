"""The asking: what a kill can cost, and how a stop ends it."""

from __future__ import annotations

import pytest
from support.runs import TOKEN

from inventory.cloud.accounts import TokenProvider
from inventory.cloud.credentials import TokenCredential
from inventory.emulator import Emulator, Faults, GeneratedCloud, Limit
from inventory.errors import InterruptedRunError
from inventory.ledger.reader import LedgerView
from inventory.ledger.writer import Ledger
from inventory.pipeline import fetch
from inventory.progress import ProgressObserver
from inventory.runs.facts import RunFacts
from inventory.settings import ExportSettings

WORKERS = 8
ACCOUNT = TokenProvider(TokenCredential(TOKEN, "x"))


def loaded(path, cloud):
    ledger = Ledger(path)
    with ledger.loading():
        ledger.add_urns(cloud.urns())
        ledger.count_scopes(cloud.scopes)
    return ledger


async def test_no_more_than_max_workers_are_in_flight_or_uncommitted(tmp_path, monkeypatch):
    cloud = GeneratedCloud(100, regions=("cn-north-4", "ap-southeast-1"))
    settings = ExportSettings(max_workers=WORKERS, max_per_second=0.0, batch=False)
    with loaded(tmp_path / "ledger.sqlite", cloud) as ledger:
        asked = committed = 0
        most = 0
        commit = ledger.commit

        def count_committed(**options):
            nonlocal committed
            commit(**options)
            committed = ledger.count_settled()

        def count_asked(_urn, _times):
            nonlocal asked, most
            asked += 1
            most = max(most, asked - committed)

        monkeypatch.setattr(ledger, "commit", count_committed)
        async with Emulator(cloud, faults=Faults(latency=0.002)) as server:
            server.plan(count_asked)
            await fetch.fetch_configs(ledger, settings_for(settings, server), ACCOUNT, ProgressObserver())
        assert asked == ledger.count_urns() > 150
        assert most <= WORKERS
        assert most > 1


def settings_for(settings, server):
    from msgspec.structs import replace  # noqa: PLC0415

    return replace(settings, endpoint=server.url)


async def test_a_named_limit_is_recorded_while_the_run_works(tmp_path):
    cloud = GeneratedCloud(60, projects=["p"], seed=1)
    recorded = []

    class Reader(ProgressObserver):
        def on_fetch(self, progress):
            with LedgerView(tmp_path / "ledger.sqlite") as view:
                recorded.append((progress.done < progress.total, RunFacts(view).limits))

    settings = ExportSettings(max_workers=WORKERS, max_per_second=0.0, batch=False)
    with loaded(tmp_path / "ledger.sqlite", cloud) as ledger:
        async with Emulator(cloud, limit=Limit.parse("40/2second")) as server:
            await fetch.fetch_configs(ledger, settings_for(settings, server), ACCOUNT, Reader())
    at_work = [limits for is_at_work, limits in recorded if is_at_work and limits]
    assert at_work
    assert all(scope[2][0][:2] == [40, 2.0] for limits in at_work for scope in limits["scopes"])


async def test_progress_reports_the_longest_pause_and_its_reason(tmp_path):
    cloud = GeneratedCloud(60, projects=["p"], seed=1)
    pauses = []

    class Reader(ProgressObserver):
        def on_fetch(self, progress):
            pauses.append((progress.paused_for, progress.paused_by))

    settings = ExportSettings(max_workers=WORKERS, max_per_second=0.0, batch=False)
    with loaded(tmp_path / "ledger.sqlite", cloud) as ledger:
        async with Emulator(cloud, limit=Limit.parse("40/2second")) as server:
            await fetch.fetch_configs(ledger, settings_for(settings, server), ACCOUNT, Reader())
    assert {reason for seconds, reason in pauses if seconds > 0} == {"limit of 40 per 2 s"}


async def test_a_stop_ends_the_asking_and_keeps_what_was_answered(tmp_path):
    cloud = GeneratedCloud(200)
    observer = ProgressObserver()
    with loaded(tmp_path / "ledger.sqlite", cloud) as ledger:
        async with Emulator(cloud, faults=Faults(latency=0.02)) as server:
            asked = []

            def stop_at_50(one, _times):
                asked.append(one)
                if len(asked) == 50:
                    observer.cancel(2)

            server.plan(stop_at_50)
            settings = settings_for(ExportSettings(max_workers=WORKERS, max_per_second=0.0, batch=False), server)
            with pytest.raises(InterruptedRunError) as caught:
                await fetch.fetch_configs(ledger, settings, ACCOUNT, observer)
            calls = server.counts.total()
        assert caught.value.resumable
        assert 50 <= calls <= 50 + 2 * WORKERS
        assert ledger.count_settled() == calls
        assert sum(answer.calls for answer in ledger.answers()) == calls
