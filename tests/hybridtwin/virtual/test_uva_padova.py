from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hybridtwin.virtual.native import run
from hybridtwin.virtual.patients import PARAMETERS, load_patients
from hybridtwin.virtual.uva_padova import basal_state, basal_u_min, eaten, simulate

REFERENCE = Path(__file__).parent / "simglucose_day.csv.gz"


def inputs(minutes, patients):
    return np.zeros((minutes, len(patients))), np.tile(basal_u_min(patients), (minutes, 1))


def glucose(patients, carbs, insulin):
    return run(basal_state(patients), carbs, insulin, patients)[0]


def test_thirty_patients_with_a_unit_for_every_parameter():
    patients = load_patients()
    assert len(patients) == 30
    assert sorted(set(patients.group)) == ["adolescent", "adult", "child"]
    assert all(unit for unit, _ in PARAMETERS.values())
    assert load_patients(["child-02", "adult-10"]).name == ("child-02", "adult-10")
    twice = patients.take([4, 4])
    assert twice.name[0] == twice.name[1]
    assert twice.vmx[0] == patients.vmx[4]


def test_basal_insulin_keeps_everyone_steady_for_a_day():
    patients = load_patients()
    trace = glucose(patients, *inputs(1440, patients))
    assert np.ptp(trace, axis=0).max() < 0.5


def test_carbohydrate_is_conserved_from_mouth_to_plasma():
    patients = load_patients(["adolescent-01", "adult-05", "child-09"])
    table, insulin = inputs(360, patients)
    table[10], table[200] = 60.0, 33.0
    carbs = eaten(table)
    states = list(simulate(basal_state(patients), carbs, insulin, patients))
    gut = np.stack([state.compartments[2] for state in states])
    absorbed_mg = np.trapezoid(patients.kabs * gut, dx=1.0, axis=0)
    remaining_mg = states[-1].compartments[:3].sum(axis=0)
    np.testing.assert_allclose(carbs.sum(axis=0), 93.0)
    np.testing.assert_allclose(absorbed_mg + remaining_mg, 93_000, rtol=2e-3)


def test_every_patient_agrees_with_simglucose_at_every_minute_of_a_day():
    patients = load_patients()
    reference = pd.read_csv(REFERENCE, comment="#", index_col="minute")

    def columns(what):
        return reference[[f"{name}:{what}" for name in patients.name]].to_numpy(dtype=float)

    carbs, insulin, expected = columns("carbs_g"), columns("insulin_u"), columns("glucose_mg_dl")
    assert expected.shape == (1440, 30)
    assert np.ptp(expected, axis=0).min() > 35
    assert (carbs > 0).sum(axis=0).min() >= 3
    usual = np.median(insulin, axis=0)
    assert ((insulin > 0) & (insulin < 2 * usual) & (insulin != usual)).sum(axis=0).min() >= 120
    assert (insulin == 0).sum(axis=0).min() >= 30
    assert (insulin > 2 * usual).sum(axis=0).min() >= 3

    trace = glucose(patients, eaten(carbs), insulin)
    assert np.abs(trace[:-1] - expected).max() < 0.1


@pytest.mark.parametrize("name", ["adolescent-06", "adult-01", "child-04"])
def test_more_insulin_lowers_and_more_carbohydrate_raises(name):
    patients = load_patients([name])
    table, insulin = inputs(480, patients)
    table[30], insulin[30] = 40.0, insulin[30] + 40 / patients.cr
    usual = glucose(patients, eaten(table), insulin)
    more_insulin = insulin.copy()
    more_insulin[30] += 0.5
    assert np.all(glucose(patients, eaten(table), more_insulin)[60:] < usual[60:])
    assert np.all(glucose(patients, eaten(table * 1.2), insulin)[60:] > usual[60:])


def test_glucose_never_becomes_negative_and_comes_back():
    patients = load_patients(["adult-01"])
    table, insulin = inputs(1440, patients)
    insulin[0] += 40.0
    table[700] = 150.0
    trace = glucose(patients, eaten(table), insulin)
    assert trace.min() > -1.0
    assert trace[-1] > 70.0
