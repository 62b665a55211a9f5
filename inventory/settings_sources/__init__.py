"""Where settings come from: options, environment, file, earlier run."""
