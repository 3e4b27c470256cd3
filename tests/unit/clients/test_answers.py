"""The tables of answers: the first rule that fits decides, and only what is certain is final."""

import pytest

from shared.clients.answers import GITHUB, N8N, RAILWAY, Meaning, Said, Table, error_of, is_page, meaning
from shared.errors import Final, Unavailable, UnknownOutcome

TABLES = {"github": GITHUB, "railway": RAILWAY, "n8n": N8N}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize(
    ("said", "means"),
    [
        (Said(status=429), Meaning.LIMITED),
        (Said(status=500), Meaning.PASSING),
        (Said(status=503, message="pull request is closed"), Meaning.PASSING),
        (Said(status=403, foreign=True), Meaning.PASSING),
        (Said(status=404, foreign=True), Meaning.PASSING),
        (Said(status=403), Meaning.DENIED),
        (Said(status=418, message="no tea here"), Meaning.REFUSED),
    ],
)
def test_every_vendors_table_knows_the_common_answers(table: Table, said: Said, means: Meaning) -> None:
    assert meaning(said, table) is means


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (GITHUB, Said(status=405, message="Pull Request is closed")),
        (GITHUB, Said(status=405, message="Merge commits are not allowed on this repository.")),
        (RAILWAY, Said(status=200, message="Commit not found")),
    ],
)
def test_what_is_certain_is_final(table: Table, said: Said) -> None:
    assert isinstance(error_of(said, table, "no", changes=True), Final)


def test_a_passing_answer_to_a_change_may_hide_its_effect() -> None:
    page = Said(status=403, foreign=True)
    fresh = Said(status=401, fresh=True)

    assert type(error_of(page, GITHUB, "no", changes=True)) is UnknownOutcome
    assert type(error_of(page, GITHUB, "no", changes=False)) is Unavailable
    assert type(error_of(fresh, GITHUB, "no", changes=True)) is Unavailable, "refused before any effect"


@pytest.mark.parametrize(
    ("content", "type", "page"),
    [
        (b" \n<!doctype html>", "", True),
        (b"oops", "text/HTML; charset=utf-8", True),
        (b"error code: 1015", "text/plain", True),
        (b'{"message": "<b>"}', "application/json", False),
        (b"", "", False),
    ],
)
def test_a_web_page_is_told_from_an_answer(content: bytes, type: str, page: bool) -> None:
    assert is_page(content, type) is page
