"""The examples do what they say, against the real service."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "serving" / "examples"


@pytest.mark.parametrize(
    ("program", "example"),
    [("sh", "curl.sh"), ("node", "node.mjs"), (sys.executable, "python_client.py")],
)
def test_an_example_ends_with_a_forecast(sqlite_site, program, example):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here")
    machine = sqlite_site.key("clinician", clinics=["north"])
    key = machine.headers["Authorization"].removeprefix("Bearer ")
    variables = {"URL": str(sqlite_site.client.base_url), "KEY": key}
    done = subprocess.run(
        [program, str(EXAMPLES / example)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    said = json.loads(done.stdout)
    forecast = said.get("forecast", said)
    assert len(forecast["expected"]) == 24
    assert forecast["unit"] == "mg/dL"
