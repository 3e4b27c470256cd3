"""The console answers whatever is asked for."""

from urllib.parse import urlencode

import pytest
from fuzz.calling import Server
from fuzz.inputs import fuzzed, odd_texts, whole_texts
from hypothesis import example, given
from hypothesis import strategies as st
from unit.functions.scene import Stage

from shared.core.run import Status

PAGES = [
    "/",
    "/health",
    "/runs",
    "/runs/",
    "/metrics/summary",
    "/metrics/system",
    "/metrics",
    "//",
    "/runs//",
    "/runs/../x",
]
ID = "production-pr1-0123456789"
numbers = st.sampled_from(
    ["0", "1", "200", "201", "-1", "+1", " 1", "1.0", "1e1", "9" * 9, "9" * 10, "9" * 5000, "٣", "²", "0x1"]
)
texts = odd_texts.map(lambda text: text.encode("utf-8", "surrogatepass").decode("latin-1")) | st.text(max_size=20)
settings = st.one_of(
    st.tuples(st.just("limit"), numbers | texts),
    st.tuples(st.just("days"), numbers | texts),
    st.tuples(st.just("status"), st.sampled_from([*Status, "RUNNING"]) | texts),
    st.tuples(st.just("target"), st.just("acme:shop:web:production") | texts),
    st.tuples(st.just("after"), st.just(ID) | texts),
    st.tuples(texts, texts),
)
queries = st.lists(settings, max_size=4).map(
    lambda pairs: urlencode(pairs, errors="surrogatepass").encode()
) | st.binary(max_size=40)
paths = (
    st.sampled_from([*PAGES, f"/runs/{ID}"])
    | whole_texts.map(lambda text: f"/runs/{text}")
    | whole_texts.map("/{}".format)
)
methods = st.sampled_from(["GET"] * 8 + ["HEAD", "POST", "OPTIONS", "TRACE"])


@pytest.fixture(autouse=True, scope="module")
def _a_run_to_show(server: Server) -> None:
    server.run(server.scene.save(server.scene.new_run(Stage.MONITOR)))


@fuzzed(400)
@given(path=paths, query=queries, method=methods, host=st.none() | st.binary(max_size=20))
@example(path="/runs", query=b"\x80", method="GET", host=None)
@example(path="/health", query=b"", method="GET", host=b"[")
def test_any_page_is_answered(server, path, query, method, host):
    answer = server.call(path, method=method, query=query, headers=[(b"host", host)] if host is not None else [])
    assert answer.status in {200, 400, 404, 405}
    if answer.status == 400:
        assert answer.content["field"] in {"limit", "days", "status", "after"}
