from pathlib import Path

from hybridtwin.config import read_config
from hybridtwin.sensor_faults.settings import FaultSettings


def test_the_config_says_what_is_done_without_it():
    path = Path(__file__).parents[3] / "configs" / "sensor-faults.yaml"
    assert read_config(path, FaultSettings) == FaultSettings()
