"""Schemathesis, over the whole description of a service with a store."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.serving.v1.site import Site, batch

ROLES = ("patient", "caregiver", "app", "clinician", "engineer", "admin")
PATIENCE_S = 10
CONFIG = """
continue-on-failure = true

[parameters]
"path.patient" = "{patient}"
"path.clinic" = "north"

# Whom the others ask about has to stay; to forget somebody again is allowed.
[[operations]]
include-name = "DELETE /v1/patients/{{patient}}"
parameters = {{ "path.patient" = "{forgotten}" }}

# A stream, which is hung up at once.
[[operations]]
include-name = "GET /v1/patients/{{patient}}/events"
parameters = {{ "query.wait_s" = 0 }}

# What cannot be is refused with reasons that no schema can state: a plan in the past, a history
# that is too short, a version that was changed meanwhile.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 412, 413, 422, 428, 503]

# A body may be too large, or a version missing, before anything else is looked at.
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428]
"""


def fuzz(
    site: Site, home: Path, *options: str, seed: int = 1, patience_s: float = PATIENCE_S
) -> int:
    """Asks as somebody who has every role; how many requests there were.

    Args:
        site: Whom.
        home: Where to write what the tool needs.
        options: Of `st run`, such as which phases.
        seed: Of what is asked.
        patience_s: How long an answer may take.

    Raises:
        AssertionError: A check failed.
    """
    path, owner = site.patient(clinic="north")
    patient = path.rsplit("/", 1)[1]
    for purpose in ("care", "sharing"):
        owner.put(f"{path}/consents/{purpose}", version="1")
    owner.post(f"{path}/observations", **batch(24))
    again, gone = site.patient()
    gone.delete(again)
    forgotten = again.rsplit("/", 1)[1]
    claims = {"patient": patient, "clinics": ["north"], "exp": int(time.time()) + 86_400}
    somebody = site.person("fuzz", *ROLES, **claims)
    config = home / "schemathesis.toml"
    config.write_text(CONFIG.format(patient=patient, forgotten=forgotten))
    tool = str(Path(sys.executable).with_name("st"))
    command = [tool, "--config-file", str(config), "run", f"{site.client.base_url}/openapi.json"]
    command += ["--header", f"Authorization: {somebody.headers['Authorization']}"]
    command += ["--checks", "all", "--seed", str(seed)]
    command += ["--suppress-health-check", "too_slow"]  # of the tool itself, on a busy machine
    for limit in ("--request-timeout", "--max-response-time"):
        command += [limit, f"{patience_s:g}"]
    done = subprocess.run(
        [*command, *options],
        cwd=home,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    counted = re.search(r"(\d+) generated", said)
    assert counted, said
    return int(counted[1])
