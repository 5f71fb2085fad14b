"""Reports of the heart: pages for people, tables and JSON for programs."""

from __future__ import annotations

from napari_flomo.reports.content import DISCLAIMER, REPORT_FORMATS, Report, ReportRow
from napari_flomo.reports.structured import (
    structured_report_file,
    structured_report_files,
    structured_report_paths,
)
from napari_flomo.reports.writing import report_files, report_table, report_text

__all__ = [
    "DISCLAIMER",
    "REPORT_FORMATS",
    "Report",
    "ReportRow",
    "report_files",
    "report_table",
    "report_text",
    "structured_report_file",
    "structured_report_files",
    "structured_report_paths",
]
