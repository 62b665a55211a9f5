"""Output for people: log lines, progress bars, formatting."""
