"""What a user types: commands, options, streams, exit codes."""
