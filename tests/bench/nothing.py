"""A BentoML service that does nothing: what the framework itself costs."""

import bentoml
from fastapi import FastAPI

app = FastAPI()


@app.post("/v1/forecast")
def forecast() -> dict[str, str]:
    return {}


@bentoml.asgi_app(app, path="/")
@bentoml.service(workers="cpu_count")
class Nothing:
    """Answers without thinking."""
