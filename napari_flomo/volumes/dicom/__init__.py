"""DICOM: files, folders and file sets, read by pydicom (headers) and GDCM (pixels).

``files`` finds them, ``header`` and ``groups`` read what they say, ``series`` and ``joining`` put
them together, ``sorting`` and ``phases`` order them, ``pixels`` reads the voxels and ``reading``
makes a volume. Nothing is imported here, so that asking whether a file is DICOM stays cheap.
"""
