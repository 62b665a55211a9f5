"""Functions at whose calls tests kill a run or fill its disk; a rename fails here, when this is imported."""

import importlib
from functools import reduce

REPLACE = "os:replace"
COMMIT = "inventory.ledger.writer:Ledger.commit"
RECORD = "inventory.ledger.writer:Ledger.record"
RECORD_LISTED = "inventory.ledger.writer:Ledger.record_listed"
READ_FACT = "inventory.ledger.writer:Ledger.fact"
ADD_URNS = "inventory.ledger.writer:Ledger.add_urns"
COUNT_SCOPES = "inventory.ledger.writer:Ledger.count_scopes"
CLOSE_LEDGER = "inventory.ledger.writer:Ledger.close"
CONNECT = "inventory.ledger.database:_connect"
LOAD = "inventory.pipeline.load:load"
BUILD_TABLES = "inventory.pipeline.build_tables:build_tables"
WRITE_ROWS = "inventory.tables.writer:TableWriter.write"
FINISH_TABLE = "inventory.tables.writer:TableWriter.finish"
WRITE_MANIFEST = "inventory.runs.manifest:write"
REMOVE_RESULTS = "inventory.runs.folder:RunFolder.remove_results"

for _name, _step in list(globals().items()):
    if _name.isupper():
        _module, _path = _step.split(":")
        reduce(getattr, _path.split("."), importlib.import_module(_module))
