"""Metrics and traces of a command: Prometheus text files and OTLP. Knows no cloud."""
