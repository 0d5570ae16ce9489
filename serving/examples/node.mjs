// A patient from nothing to a forecast, and the news of them, by JavaScript (Node 18 or later).
// URL and KEY (a clinician's key) from the environment.

const { URL: url, KEY: key } = process.env;

async function ask(method, path, body) {
  const answer = await fetch(url + path, {
    method,
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail); // where, what and what to do, for people
  return said;
}

const { id } = await ask("POST", "/v1/patients", {
  clinic: "north",
  profile: { time_zone: "Europe/Berlin", weight_kg: 72 },
  consents: { care: "2026-1" },
});
const glucose = Array.from({ length: 37 }, (_, i) => ({
  time: new Date(Date.now() - (36 - i) * 300_000).toISOString(),
  value: 114 + i,
}));
await ask("POST", `/v1/patients/${id}/observations`, {
  source: "example",
  units: { glucose: "mg/dL" },
  glucose,
});

// The belief follows by itself, and is announced.
const events = await fetch(`${url}/v1/patients/${id}/events?wait_s=30`, {
  headers: { Authorization: `Bearer ${key}` },
});
const decoder = new TextDecoder();
for await (const part of events.body) {
  if (decoder.decode(part).includes("event: belief")) break;
}

const { forecast } = await ask("POST", `/v1/patients/${id}/forecast`, {
  units: { glucose: "mg/dL" },
  horizon_min: 120,
});
console.log(JSON.stringify(forecast));
