"""A patient from nothing to a forecast, by the Python client.

URL and KEY (a clinician's key) from the environment.
"""

import os
import sys
from datetime import UTC, datetime, timedelta

from serving.client import Client

with Client(os.environ["URL"], os.environ["KEY"]) as twin:
    ann = twin.create_patient(
        {
            "clinic": "north",
            "profile": {"time_zone": "Europe/Berlin", "weight_kg": 72},
            "consents": {"care": "2026-1"},
        }
    )
    now = datetime.now(UTC)
    glucose = [
        {"time": (now - timedelta(minutes=5 * back)).isoformat(), "value": 150 - back}
        for back in range(36, -1, -1)
    ]
    twin.send(ann.id, {"source": "example", "units": {"glucose": "mg/dL"}, "glucose": glucose})
    said = twin.forecast(ann.id, "mg/dL", horizon_min=120)
    sys.stdout.write(said.forecast.model_dump_json() + "\n")
