"""The API's description (OpenAPI), with every error that a route may answer."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.problems import MEDIA_TYPE
from serving.schema import ErrorReport

_STATELESS: Final = """\
- Stateless: a question carries the history that it needs, and nothing of it is kept.
"""
_STORED: Final = """\
- `/v1/patients` keeps what it is sent, sealed with a key for each person; `/v1/forecast` and
  `/v1/scenario` are stateless: a question carries the history that it needs.
- Every request carries a token or an API key, and every read and write of a person is audited. A
  patient who is nothing to the caller is answered as one who does not exist.
"""
_TEXT: Final = """\
A digital twin for diabetes: what will a person's glucose do, and what would it do if.

**Decision support for research; not a certified medical device.** No dose may be changed on its
word alone.

{mode}\
- Units are stated, never guessed: glucose in `units.glucose`, insulin in U, food in g, times with
  a zone. Answers come in the unit of the question and in the person's time zone.
- A log that is absent is unknown; an empty list says that nothing happened.
- Every error is a problem report (RFC 9457): where, what, and what to do.
- `/livez`, `/readyz` and `/metrics` are for whoever runs the service; `/` is for people.
"""
"""Said once, to whoever reads the API's description."""

_MEANING: Final = {
    400: "The body is not JSON.",
    401: "The credentials are missing or not valid.",
    403: "The credentials do not allow it.",
    404: "There is nothing of this name, or nothing that the caller may know of.",
    409: "It contradicts what is there.",
    412: "It was changed since it was read.",
    413: "The body is too large.",
    415: "The body is not declared as what is taken here.",
    422: "The question cannot be answered; the problems say why.",
    428: "The header If-Match is missing.",
    429: "The caller asks too often; Retry-After says when to ask again.",
    500: "The service failed.",
    503: "Something that the answer needs is away; Retry-After says when to ask again.",
}


class DescribedApp(FastAPI):
    """An app whose description tells every error in its one shape."""

    def openapi(self) -> dict[str, Any]:
        """The description."""
        if self.openapi_schema is None:
            found = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
            )
            schemas = found["components"]["schemas"]
            schemas |= ErrorReport.model_json_schema(ref_template=_REFERENCE).pop("$defs")
            schemas["ErrorReport"] = ErrorReport.model_json_schema(ref_template=_REFERENCE)
            del schemas["ErrorReport"]["$defs"], schemas["HTTPValidationError"]
            del schemas["ValidationError"]
            for path, operations in found["paths"].items():
                for operation in operations.values():
                    _describe_errors(path, operation)
            self.openapi_schema = found
        return self.openapi_schema


_REFERENCE: Final = "#/components/schemas/{model}"


def text(stored: bool) -> str:
    """What the API is, in words."""
    return _TEXT.format(mode=_STORED if stored else _STATELESS)


def _describe_errors(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    named = {int(status) for status in responses if status >= "400"}
    for status in sorted(named | set(_errors(path, operation))):
        schema = {"$ref": _REFERENCE.format(model=ErrorReport.__name__)}
        responses[str(status)] = {
            "description": _MEANING[status],
            "content": {MEDIA_TYPE: {"schema": schema}},
        }


def _errors(path: str, operation: Mapping[str, Any]) -> Iterator[int]:
    """The errors that follow from what an operation takes."""
    if "requestBody" in operation:
        yield from (400, 413, 415, 422)
    if "parameters" in operation:
        yield 422
    if "security" in operation:
        yield from (401, 403, 429, 503)
    if "{" in path:
        yield 404
    yield 500
