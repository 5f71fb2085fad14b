"""Codes of a structured report: LOINC, SNOMED CT, UCUM and DICOM terms of DICOM PS3.16."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

_TERMS = {
    # CID 3835, Cardiac Volume Measurement
    "LV EDV": ("8821-1", "LN", "Left Ventricular ED Volume"),
    "LV ESV": ("8823-7", "LN", "Left Ventricular ES Volume"),
    "RV EDV": ("8822-9", "LN", "Right Ventricular ED Volume"),
    "RV ESV": ("8824-5", "LN", "Right Ventricular ES Volume"),
    "SV": ("90096001", "SCT", "Stroke Volume"),
    # CID 3833, Cardiac Ejection Fraction
    "LV EF MR": ("8811-2", "LN", "Left ventricular ejection fraction by MR"),
    "LV EF CT": ("8810-4", "LN", "Left ventricular ejection fraction by CT"),
    "RV EF MR": ("8818-7", "LN", "Right ventricular ejection fraction by MR"),
    "RV EF CT": ("8817-9", "LN", "Right ventricular ejection fraction by CT"),
    "EF": ("70822001", "SCT", "Cardiac ejection fraction"),
    # CID 12203, Echocardiography Left Ventricle Other
    "LV mass": ("18087-7", "LN", "Left Ventricle Mass"),
    # CID 7469, Generic Intensity and Size Measurement
    "volume": ("118565006", "SCT", "Volume"),
    # CID 12233, Cardiac Phase
    "phase": ("246092007", "SCT", "Cardiac cycle phase"),
    "ED": ("416190007", "SCT", "End diastole"),
    "ES": ("416430001", "SCT", "End Systole"),
    # CID 3757, Cardiac Diagnostic Procedure; CID 100, Quantitative Diagnostic Imaging Procedure
    "procedure MR": ("241620005", "SCT", "Cardiac MRI"),
    "procedure CT": ("241547009", "SCT", "Cardiac CT"),
    "procedure": ("363679005", "SCT", "Imaging procedure"),
    # TID 3602, Cardiovascular Patient Characteristics; CID 3663, Body Surface Area Equation
    "body surface": ("8277-6", "LN", "Body Surface Area"),
    "Mosteller": ("122244", "DCM", "BSA = (HT*WT/36)^0.5"),
    # CID 3455, Index Method
    "index": ("121425", "DCM", "Index"),
    "by body surface": ("8277-6", "LN", "BSA"),
    "ml": ("ml", "UCUM", "ml"),
    "ml/m2": ("ml/m2", "UCUM", "ml/m2"),
    "g": ("g", "UCUM", "g"),
    "g/m2": ("g/m2", "UCUM", "g/m2"),
    "%": ("%", "UCUM", "percent"),
    "m2": ("m2", "UCUM", "m2"),
}


def term(*names: str) -> Code:
    """Return the coded term of the first name that has one."""
    from pydicom.sr.coding import Code

    return Code(*next(_TERMS[name] for name in names if name in _TERMS))
