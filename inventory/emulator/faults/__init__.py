"""Faults that the emulator injects."""
