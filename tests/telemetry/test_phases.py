from collections import Counter

import pytest

from inventory.errors import InterruptedRunError
from inventory.progress import Progress, ProgressObserver
from inventory.telemetry.phases import PhaseObserver


def test_phases_follow_each_other_and_progress_is_passed_on():
    seen = []

    class Display(ProgressObserver):
        def on_load(self, entries):
            seen.append(entries)

        def on_fetch(self, progress):
            seen.append(progress.done)

    observer = PhaseObserver()
    observer.display = Display()
    observer.on_wait()
    observer.on_load(7)
    observer.on_fetch(Progress(1, 2, 3, Counter(), 0))
    observer.on_fetch(Progress(2, 2, 3, Counter(), 0))
    observer.on_build_tables(1, 2)
    observer.on_upload(1, 2)
    load, fetch, build, upload = observer.phases(2**63)
    assert [phase.name for phase in (load, fetch, build, upload)] == ["load", "fetch", "build_tables", "upload"]
    assert load.ended == fetch.started <= fetch.ended == build.started <= build.ended == upload.started
    assert upload.ended == 2**63
    assert seen == [7, 1, 2]
    assert PhaseObserver().phases(1) == []


def test_a_cancelled_run_ends_in_every_phase():
    observer = PhaseObserver()
    observer.cancel(15)
    for report in (lambda: observer.on_load(1), observer.on_wait, lambda: observer.on_build_tables(1, 1)):
        with pytest.raises(InterruptedRunError):
            report()
    with pytest.raises(InterruptedRunError):
        observer.on_upload(1, 1)
