"""The emulated FunctionGraph service."""
