"""What a person sees while a run works: log lines, progress bars, formatting."""
