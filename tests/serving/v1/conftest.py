from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.postgres import Cluster
from tests.serving.v1.site import Site, site
from tests.serving.v1.site import ward as make_ward


@pytest.fixture(scope="session")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ward(tmp_path_factory.mktemp("ward"))


@pytest.fixture(scope="session")
def sqlite_site(tmp_path_factory: pytest.TempPathFactory, ward: Path) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("sqlite")
    with site(home, f"sqlite:///{home / 'store.db'}", ward) as found:
        yield found


@pytest.fixture(scope="session")
def postgres_site(
    tmp_path_factory: pytest.TempPathFactory, ward: Path, postgres: Cluster
) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("postgresql")
    with site(home, postgres.empty_database("service"), ward) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def any_site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(f"{request.param}_site")
    return found
