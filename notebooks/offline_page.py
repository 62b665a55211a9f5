# ruff: noqa: INP001 - settings of a tool, not a module
"""Settings of ``jupyter nbconvert --config``: runs a notebook and writes an HTML page that needs no network."""

from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - nbconvert defines it
c.NbConvertApp.export_format = "html"
c.ExecutePreprocessor.enabled = True
c.HTMLExporter.extra_template_basedirs = [str(Path(__file__).parent)]
c.HTMLExporter.template_name = "offline"
c.HTMLExporter.exclude_input = True
c.HTMLExporter.exclude_output_prompt = True
