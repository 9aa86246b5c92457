"""The schedules that ship, one per file; the table finds them by itself."""

from __future__ import annotations

from molgen.flow.schedules._json import schedule_from_dict, schedule_to_dict
from molgen.flow.schedules._table import SCHEDULES, collect
from molgen.flow.schedules.cosine import Cosine
from molgen.flow.schedules.edm import EDM
from molgen.flow.schedules.edm_uniform import EDMUniform
from molgen.flow.schedules.exponential import Exponential
from molgen.flow.schedules.issnr import ISSNR
from molgen.flow.schedules.otflow import OTFlow
from molgen.flow.schedules.polynomial import Polynomial
from molgen.flow.schedules.smld import SMLD
from molgen.flow.schedules.sub_vp import SubVP
from molgen.flow.schedules.trig import Trig
from molgen.flow.schedules.vp_linear import VPLinear

__all__ = [
    "EDM",
    "ISSNR",
    "SCHEDULES",
    "SMLD",
    "Cosine",
    "EDMUniform",
    "Exponential",
    "OTFlow",
    "Polynomial",
    "SubVP",
    "Trig",
    "VPLinear",
    "collect",
    "schedule_from_dict",
    "schedule_to_dict",
]
