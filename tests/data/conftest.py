"""What the tests of the data share."""

from collections.abc import Iterator

import pytest

from tests.data.servers import Server


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Server]]:
    monkeypatch.delenv("AECLI_MIRROR")
    pair = Server(), Server()
    yield pair
    for server in pair:
        server.http.shutdown()
        server.http.server_close()
