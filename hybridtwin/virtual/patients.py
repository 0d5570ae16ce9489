"""The 30 virtual patients of the UVA/Padova simulator, as arrays with one entry per patient.

The figures are those that simglucose 0.2.11 distributes (Jinyu Xie, MIT License; see the head of
patients.csv): ten adolescents, ten adults and ten children with type 1 diabetes. Names of
parameters are those of Dalla Man, Rizza & Cobelli, IEEE TBME 54:1740 (2007), in lower case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Annotated, get_type_hints

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Patients:
    """P virtual patients; every parameter has shape (P,). `PARAMETERS` lists units and meaning."""

    name: tuple[str, ...]

    age: Annotated[Array, "years", "age"]
    cr: Annotated[Array, "g/U", "carbohydrate covered by one unit"]
    cf: Annotated[Array, "mg/dL/U", "stated fall of glucose per unit (in children too low by half)"]
    tdi: Annotated[Array, "U/day", "total daily insulin"]
    bw: Annotated[Array, "kg", "body weight"]

    kabs: Annotated[Array, "1/min", "absorption from the gut"]
    kmax: Annotated[Array, "1/min", "emptying of a full stomach, and grinding"]
    kmin: Annotated[Array, "1/min", "slowest emptying of the stomach"]
    b: Annotated[Array, "1", "fraction of the meal at which emptying slows"]
    d: Annotated[Array, "1", "fraction of the meal at which emptying quickens again"]
    f: Annotated[Array, "1", "fraction of the carbohydrate that reaches plasma"]

    vg: Annotated[Array, "dL/kg", "volume of glucose"]
    vi: Annotated[Array, "L/kg", "volume of insulin"]
    k1: Annotated[Array, "1/min", "glucose from plasma to tissue"]
    k2: Annotated[Array, "1/min", "glucose from tissue to plasma"]
    vm0: Annotated[Array, "mg/kg/min", "insulin-dependent uptake at basal insulin"]
    vmx: Annotated[Array, "mg/kg/min per pmol/L", "insulin sensitivity of uptake"]
    km0: Annotated[Array, "mg/kg", "tissue glucose at half of the uptake"]
    p2u: Annotated[Array, "1/min", "delay of insulin's action on uptake"]
    fsnc: Annotated[Array, "mg/kg/min", "uptake without insulin"]
    kp1: Annotated[Array, "mg/kg/min", "liver output at no glucose and no insulin"]
    kp2: Annotated[Array, "1/min", "liver's sensitivity to glucose"]
    kp3: Annotated[Array, "mg/kg/min per pmol/L", "insulin sensitivity of liver output"]
    ki: Annotated[Array, "1/min", "delay of insulin's action on the liver"]
    ke1: Annotated[Array, "1/min", "renal excretion above the threshold"]
    ke2: Annotated[Array, "mg/kg", "renal threshold"]

    m1: Annotated[Array, "1/min", "insulin from liver to plasma"]
    m2: Annotated[Array, "1/min", "insulin from plasma to liver"]
    m4: Annotated[Array, "1/min", "clearance of insulin from plasma"]
    m30: Annotated[Array, "1/min", "clearance of insulin in the liver"]
    ka1: Annotated[Array, "1/min", "absorption of non-monomeric insulin"]
    ka2: Annotated[Array, "1/min", "absorption of monomeric insulin"]
    kd: Annotated[Array, "1/min", "dissociation of insulin under the skin"]
    ksc: Annotated[Array, "1/min", "glucose from plasma to the sensor's tissue"]

    ib: Annotated[Array, "pmol/L", "basal plasma insulin"]
    gpb: Annotated[Array, "mg/kg", "basal plasma glucose"]
    gtb: Annotated[Array, "mg/kg", "basal tissue glucose"]
    ipb: Annotated[Array, "pmol/kg", "basal insulin in plasma"]
    ilb: Annotated[Array, "pmol/kg", "basal insulin in the liver"]
    isc1ss: Annotated[Array, "pmol/kg", "basal non-monomeric insulin under the skin"]
    isc2ss: Annotated[Array, "pmol/kg", "basal monomeric insulin under the skin"]
    u2ss: Annotated[Array, "pmol/kg/min", "basal infusion of insulin"]

    def __len__(self) -> int:
        return len(self.name)

    @property
    def group(self) -> tuple[str, ...]:
        """`adolescent`, `adult` or `child`, per patient."""
        return tuple(name.split("-")[0] for name in self.name)

    @cached_property
    def table(self) -> Array:
        """All parameters (N, P), in the order of `PARAMETERS`."""
        return np.stack([getattr(self, name) for name in PARAMETERS])

    def take(self, chosen: Sequence[int]) -> "Patients":
        """The patients at these positions, in this order; one may be taken more than once."""
        arrays = {name: getattr(self, name)[list(chosen)] for name in PARAMETERS}
        return Patients(tuple(self.name[index] for index in chosen), **arrays)


PARAMETERS: dict[str, tuple[str, str]] = {
    name: hint.__metadata__
    for name, hint in get_type_hints(Patients, include_extras=True).items()
    if name != "name"
}
"""Every parameter's unit and meaning."""


def load_patients(names: Sequence[str] | None = None) -> Patients:
    """The distributed patients, or those of these names (such as `adult-03`), in this order.

    Raises:
        KeyError: There is no patient of that name.
    """
    with files(__package__).joinpath("patients.csv").open() as source:
        rows = pd.read_csv(source, comment="#", index_col="name")
    if names is not None:
        rows = rows.loc[list(names)]
    rows.columns = rows.columns.str.lower()
    arrays = {name: rows[name].to_numpy(dtype=np.float64) for name in PARAMETERS}
    return Patients(tuple(rows.index), **arrays)


def join(patients: Sequence[Patients]) -> Patients:
    """Several sets of patients as one."""
    arrays = {name: np.concatenate([getattr(one, name) for one in patients]) for name in PARAMETERS}
    return Patients(tuple(name for one in patients for name in one.name), **arrays)
