import pytest

from serving.app import create_app


@pytest.fixture(scope="module", params=[False, True], ids=["stateless", "stored"])
def description(request):
    return create_app(stored=request.param).openapi()


def test_the_service_gives_its_description(client):
    assert client.get("/openapi.json").json() == create_app(stored=False).openapi()


def _numeric(field):
    return any(
        option.get("type") in ("number", "integer") for option in field.get("anyOf", [field])
    )


def _bounded(field):
    bounds = ("minimum", "exclusiveMinimum")
    return any(bound in option for option in field.get("anyOf", [field]) for bound in bounds)


def _fields(description):
    for name, schema in description["components"]["schemas"].items():
        for field, details in schema.get("properties", {}).items():
            yield f"{name}.{field}", details


def test_every_field_is_described(description):
    leaves = [(name, field) for name, field in _fields(description) if "$ref" not in field]
    assert len(leaves) > 60
    assert [name for name, field in leaves if not field.get("description")] == []


def test_every_number_has_a_range_or_a_unit(description):
    units = ("mg/dL", "unit", "values", "minutes", "Minutes", "-1 to 1")
    bare = [
        name
        for name, field in _fields(description)
        if _numeric(field)
        and not _bounded(field)
        and not any(word in field["description"] for word in units)
    ]
    assert bare == []


@pytest.mark.parametrize("path", ["/v1/forecast", "/v1/scenario"])
def test_every_error_is_described_in_its_one_shape(description, path):
    operation = description["paths"][path]["post"]
    responses = operation["responses"]
    of_door = {"401", "403", "429"} if "security" in operation else set()
    assert set(responses) == {"200", "400", "413", "415", "422", "500", "503"} | of_door
    for status, response in responses.items():
        if status != "200":
            (schema,) = response["content"].values()
            assert set(response["content"]) == {"application/problem+json"}
            assert schema["schema"]["$ref"].endswith("/ErrorReport")


def test_it_says_once_what_it_is_for(description):
    assert description["info"]["description"].count("not a certified medical device") == 1


def test_it_says_what_is_unknown_and_what_is_none(description):
    insulin = description["components"]["schemas"]["ForecastRequest"]["properties"]["insulin"]
    assert "unknown" in insulin["description"]
    assert insulin["anyOf"][0]["maxItems"] > 0
