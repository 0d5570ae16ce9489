"""Questions take turns at the twin, and only so many wait."""

import anyio
import httpx
from anyio import Semaphore
from fastapi import FastAPI

from hybridtwin.registry import load_twin
from serving.problems import handle_problems
from serving.settings import Settings
from serving.state import TheTwin


def asked(waiting_max: int, questions: int) -> list[httpx.Response]:
    """Answers to so many questions at once, none of which ends before all have come."""
    app = FastAPI()
    handle_problems(app)
    app.state.twin, app.state.turn = load_twin(None), Semaphore(1)
    app.state.settings = Settings(waiting_max=waiting_max)
    computing = most = 0

    @app.get("/")
    async def compute(twin: TheTwin) -> str:
        nonlocal computing, most
        computing += 1
        most = max(most, computing)
        await anyio.sleep(0.05)
        computing -= 1
        return twin.config.name

    answers = []

    async def ask(client: httpx.AsyncClient) -> None:
        answers.append(await client.get("/"))

    async def all_at_once() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://twin") as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(questions):
                group.start_soon(ask, client)

    anyio.run(all_at_once)
    assert most == 1
    return answers


def test_questions_wait_for_their_turn() -> None:
    answers = asked(waiting_max=4, questions=5)
    assert [answer.json() for answer in answers] == 5 * ["population"]


def test_beyond_the_queue_they_are_told_to_come_again() -> None:
    answers = asked(waiting_max=1, questions=5)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert busy.headers["Retry-After"] == "1"
    assert busy.headers["Content-Type"] == "application/problem+json"
