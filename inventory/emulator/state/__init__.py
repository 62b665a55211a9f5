"""The emulated functions and configs."""
