"""What the tests of histories share: folders of real runs, of which one export makes as many as are wanted."""

from __future__ import annotations

import asyncio
import json
import shutil

from support.runs import TOKEN, export, manifest_of

from inventory.emulator import Emulator, GeneratedCloud


def one_run(folder, **settings):
    """Exports an emulated cloud into ``folder/run``; gives that folder."""
    cloud = GeneratedCloud(12, seed=3)
    path = folder / "urns.txt"
    path.write_text("".join(f"{urn}\n" for urn in [*cloud.urns(), "not a urn", "=not one either"]))
    with Emulator(cloud, token=TOKEN).in_thread() as server:
        asyncio.run(export(path, folder / "run", endpoint=server.url, **settings))
    return folder / "run"


def at(run, folder, name, finished, *, exit_code=0, **more):
    """A copy of a run that ended at another time; gives its folder."""
    copy = folder / name
    shutil.copytree(run, copy)
    describe(copy, finished=finished, exit_code=exit_code, **more)
    return copy


def describe(run, **changes):
    """Changes what the manifest of a run says."""
    (run / "manifest.json").write_text(json.dumps({**manifest_of(run), **changes}))


def nights(run, folder, count, month=11):
    """Makes one run a night; returns their folders, oldest first."""
    made = [(f"2026{month:02}{day:02}T010000Z", f"2026-{month:02}-{day:02}T01:00:00Z") for day in range(1, count + 1)]
    return [at(run, folder, name, finished) for name, finished in made]
