"""The folder of a run: manifest, recorded facts, status, history, pruning, upload."""
