"""What both viewers show about the report of an image."""

from __future__ import annotations

REPORT = ("Report…", "Measures, curves, wall and contours as PDF, table or text")
"""Title and tooltip of the button that opens the report, as those of the next three."""
SAVE = ("Save…", "Save as PDF, CSV, JSON or text")
COPY_TEXT = ("Copy text", "Copy the report as text")
COPY_TABLE = ("Copy table", "Copy the measures as a table, for a spreadsheet")

TITLE = "Report"
SAVE_TITLE = "Save report"


def file_name(image_name: str) -> str:
    """Return the proposed name of the file, without an ending."""
    return f"{image_name}_report".replace("/", "-")
