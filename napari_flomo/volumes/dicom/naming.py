"""Names of DICOM images for people, without patient data.

A series description is free text, in which names of patients are found in practice; the
confidentiality profiles of DICOM PS3.15 remove it, or have it cleaned. So no text of a file enters
a name: the description only selects words of a fixed vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_flomo.volumes.dicom.planes import Plane

_MODALITY = re.compile(r"[A-Z]{2}")
_WORDS = {
    "localizer": r"loc|locali[sz]ers?|scouts?|survey",
    "real-time": r"real[ _-]?time",
    "cine": r"cine",
    "bSSFP": r"b?-?ssfp|tru[ _-]?fi(?:sp)?|truefisp|fiesta|b-?t?ffe|b-?tfe",
    "LGE": r"lge|psir|mde|(?:late|delayed)[ _-](?:gadolinium[ _-])?enhancement",
    "T1 map": r"t1[ _-]?map(?:ping)?|(?:sh)?molli|sasha",
    "T2 map": r"t2[ _-]?map(?:ping)?",
    "T2* map": r"t2(?:\*|[ _-]?star)[ _-]?(?:map(?:ping)?)?",
    "T1": r"t1w?",
    "T2": r"t2w?",
    "STIR": r"stir",
    "black blood": r"(?:black|dark)[ _-]?blood",
    "perfusion": r"perf(?:usion)?",
    "stress": r"stress",
    "flow": r"phase[ _-]contrast|flow|venc",
    "4D flow": r"4d[ _-]?flow",
    "tagging": r"tag(?:ged|ging)?",
    "angiography": r"angio(?:graphy)?|mra",
    "short axis": r"short[ _-]?axis|sax|sa|kurz(?:e[ _-]?)?achsen?",
    "long axis": r"long[ _-]?axis|lax|lang(?:e[ _-]?)?achsen?",
    "2-chamber": r"2[ _-]?c(?:h|hamber)?",
    "3-chamber": r"3[ _-]?c(?:h|hamber)?",
    "4-chamber": r"4[ _-]?c(?:h|hamber)?",
    "LVOT": r"lvot",
    "RVOT": r"rvot",
    "axial": r"ax(?:ial)?|tra(?:nsversal|nsverse)?",
    "coronal": r"cor(?:onal)?",
    "sagittal": r"sag(?:ittal)?",
    "native": r"native|pre[ _-]contrast",
    "post-contrast": r"post[ _-](?:contrast|gd|gado(?:linium)?)",
}
"""Words of names, and what a description has in their place, without regard to case."""

_PATTERNS = {
    word: re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", re.IGNORECASE)
    for word, pattern in _WORDS.items()
}


def title_of(planes: Sequence[Plane]) -> str:
    """Return a name for people: ``"MR 7 cine short axis"``.

    It consists of the modality, the number of the series (first and last of a joined stack), and
    words of a fixed vocabulary that its description contains.
    """
    file = planes[0].file
    modality = file.modality or ""
    parts = [modality if _MODALITY.fullmatch(modality) else "DICOM"]
    numbers = sorted({int(n) for plane in planes if (n := plane.file.series_number).isdecimal()})
    if numbers:
        parts.append("-".join(map(str, dict.fromkeys((numbers[0], numbers[-1])))))
    parts += known_words(file.description)
    return " ".join(parts)


def known_words(description: str) -> list[str]:
    """Return the words of the vocabulary that a series description contains.

    A word that another one includes, as "T1" in "T1 map", is left out.
    """
    found = [word for word, pattern in _PATTERNS.items() if pattern.search(description)]
    return [word for word in found if not any(word != other and word in other for other in found)]
