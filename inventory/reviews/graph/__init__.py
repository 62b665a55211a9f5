"""The call graph of a snapshot: cycles, chains, exposure and envelope."""
