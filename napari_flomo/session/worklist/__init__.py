"""A work list: the studies of a folder with their states, to be reviewed one after the other.

`WorkList` finds the studies and their states, `Studies` opens and closes them in a viewer.
"""

from __future__ import annotations

from napari_flomo.session.worklist.records import StudyState
from napari_flomo.session.worklist.studies import Studies
from napari_flomo.session.worklist.worklist import ListedStudy, WorkList

__all__ = ["ListedStudy", "Studies", "StudyState", "WorkList"]
