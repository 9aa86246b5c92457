"""Files of molecules: reading, streaming writers, and continuing a file of a killed run."""

from __future__ import annotations

from molgen.chem.read import Record, read_records
from molgen.chem.render import FORMATS, Format, Tags, TagValue
from molgen.chem.resume import Completed, completed_records, suffix_of
from molgen.chem.write import STDOUT, RecordWriter, open_writer

__all__ = [
    "FORMATS",
    "STDOUT",
    "Completed",
    "Format",
    "Record",
    "RecordWriter",
    "TagValue",
    "Tags",
    "completed_records",
    "open_writer",
    "read_records",
    "suffix_of",
]
