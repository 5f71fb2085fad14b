"""Agreement of two readers who corrected the same images.

Examples
--------
>>> store = CorrectionStore.open("corrections")  # doctest: +SKIP
>>> agreement = compare_readers(store)  # doctest: +SKIP
>>> write_agreement(agreement, Path("agreement"))  # doctest: +SKIP
"""

from __future__ import annotations

from flomo_training.readers.agreement import ReaderAgreement, compare_readers
from flomo_training.readers.report import (
    NAMES,
    PAGE,
    agreement_dict,
    agreement_text,
    write_agreement,
)

__all__ = [
    "NAMES",
    "PAGE",
    "ReaderAgreement",
    "agreement_dict",
    "agreement_text",
    "compare_readers",
    "write_agreement",
]
