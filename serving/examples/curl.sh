#!/bin/sh
# A patient from nothing to a forecast, by curl. URL and KEY (a clinician's key) from the environment.
set -eu

ask() {
    method=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body --request "$method" "$URL$path" \
        --header "Authorization: Bearer $KEY" --header 'Content-Type: application/json' "$@"
}

# Whoever enters a patient vouches for their consent, and for the version of its text.
patient=$(ask POST /v1/patients --data '{
    "clinic": "north",
    "name": "Ann",
    "profile": {"time_zone": "Europe/Berlin", "weight_kg": 72},
    "consents": {"care": "2026-1"}
}' | sed 's/.*"id":"\([^"]*\)".*/\1/')

# Three hours of readings, every five minutes; the same batch again would change nothing.
readings=$(
    now=$(date +%s)
    for back in $(seq 36 -1 0); do
        time=$(date --utc --date "@$((now - 300 * back))" +%Y-%m-%dT%H:%M:%SZ)
        printf '{"time": "%s", "value": %d}' "$time" $((150 - back))
        test "$back" -eq 0 || printf ', '
    done
)
ask POST "/v1/patients/$patient/observations" --data '{
    "source": "example",
    "units": {"glucose": "mg/dL"},
    "glucose": ['"$readings"']
}' >/dev/null

ask POST "/v1/patients/$patient/forecast" --data '{"units": {"glucose": "mg/dL"}, "horizon_min": 120}'
