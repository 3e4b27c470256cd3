"""Nothing that is, or looks like, a secret gets through; ordinary words do."""

import ast
import json
import re
import textwrap
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from time import process_time
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit import secret_corpus

from shared.runtime import redaction
from shared.runtime.redaction import MASK, names_secret, redact, remember
from shared.runtime.secret_shapes import SHAPES, Shape

PEM = """-----BEGIN RSA PRIVATE KEY-----
MIIEpAIBAAKCAQEAsecretsecretsecretsecretsecretsecretsecretline01
MIIEpAIBAAKCAQEAsecretsecretsecretsecretsecretsecretsecretline02
bGFzdA==
-----END RSA PRIVATE KEY-----
"""
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjMifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("x_ghs_16C7e42F292c6912E7710c838347Ae178B4a.more", "ghs_16C7e42F292c6912E7710c838347Ae178B4a.more"),
        ("token github_pat_11AAAAAAA0abc_def refused", "github_pat_11AAAAAAA0abc_def"),
        (f"jwt {JWT}!", JWT),
        (f"x_{JWT}", JWT),
        ("POST https://api.telegram.org/bot123456:AAF-abc_DEF/sendMessage", "123456:AAF-abc_DEF"),
        ("Authorization: Bearer abcdefgh1234", "abcdefgh1234"),
        ("authorization: token abcdefgh1234", "abcdefgh1234"),
        ("Authorization: abcdefgh1234", "abcdefgh1234"),
        ("sent BEARER  abcdefgh1234", "abcdefgh1234"),
        ("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
        ("postgres://user:hunter2@db.example/x", "hunter2"),
        ("redis://:hunter2@cache:6379/0", "hunter2"),
        ("amqp://user:hun@ter2@mq/x", "ter2"),
        ("https://hunter2hunter2@github.com/acme/shop", "hunter2hunter2"),
        ("https://x.example/hook?token=hunter2&x=1", "hunter2"),
        ("api_key=hunter2", "hunter2"),
        ("api-key = hunter2", "hunter2"),
        ("PASSWORD='hunter2'", "hunter2"),
        ("client_secret=hunter2,hunter3", "hunter3"),
        ('{"access_token": "hunter2"}', "hunter2"),
        ("{'webhook_secret': 'hunter2'}", "hunter2"),
        ("[(b'X-Webhook-Token', b'hunter2')]", "hunter2"),
        ("[('x-api-key', 'hunter2')]", "hunter2"),
        ('{\\"access_token\\": \\"hunter2\\"}', "hunter2"),
        ('{"password": "correct horse hunter2"}', "hunter2"),
        ("JWT_SECRET='a hunter2'", "hunter2"),
        (r'"password": "correct\"hunter2"', "hunter2"),
        ("AWS_SECRET_ACCESS_KEY=hunter2", "hunter2"),
        ("SECRET_KEY=hunter2", "hunter2"),
        ("DB_PASS=hunter2", "hunter2"),
        ("Server=db;Pwd=hunter2", "hunter2"),
        ("password: hunter2", "hunter2"),
        ("X-Webhook-Token: hunter2", "hunter2"),
        ("x-hub-signature-256: sha256=0123456789abcdef", "0123456789abcdef"),
        ("Project-Access-Token: hunter2", "hunter2"),
        ("sk-ant-" + "api03-hunter2hunter2", "hunter2"),
        ("sk_live_" + "hunter2hunter2", "hunter2"),
        ("xoxb-" + "1234567890-hunter2", "hunter2"),
        ("glpat-" + "hunter2hunter2hunter2", "hunter2"),
        ("AKIA" + "HUNTER2HUNTER2XX", "HUNTER2"),
        ("AIza" + "hunter2" * 5, "hunter2"),
        ("npm_" + "hunter2" * 5, "hunter2"),
        ("SG." + "hunter2hunter2xx.hunter2hunter2xx", "hunter2"),
        ("123456789:AA" + "hunter2" * 5, "hunter2"),
        (PEM, "secretline01"),
        (json.dumps(PEM), "secretline01"),
        (repr(PEM), "bGFzdA=="),
        (PEM[: PEM.index("line02")], "secretline01"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text, secret):
    assert secret in text

    assert secret not in redact(text)
    assert MASK in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "basic authentication is off",
        "the bearer of bad news",
        "signalbox.toml: railway.token: Invalid enum value 'x'",
        "secret N8N-API: set the environment variable N8N_API",
        "GET backboard.railway.com/graphql/v2: not reached: ConnectError",
        "https://github.com/acme/shop/pull/42#issuecomment-1 by ada@example.com",
        "token expired; password required",
        "0f3a9c21be deadbeef 2026-07-01T12:00:00Z",
        "-----BEGIN CERTIFICATE----- is public",
        "npm_config_user_agent and npm_lifecycle_script of task-antler",
        "compass=north; primary_key=user_id, no password: it is off",
        "12:00:00 database asia-east1 at 10.0.0.1:5432",
    ],
)
def test_ordinary_words_stay(text):
    assert redact(text) == text


def test_what_stands_around_a_secret_stays():
    assert redact("POST /x?token=hunter2&run=r1 Bearer abcdefgh1234 end") == (
        f"POST /x?token={MASK}&run=r1 Bearer {MASK} end"
    )
    assert redact("postgres://u:p@db/x") == f"postgres://{MASK}@db/x"


def test_known_values_are_masked_wherever_they_stand():
    remember("tr0ub4dor", "with space/slash+")

    assert redact("<tr0ub4dor>tr0ub4dor") == f"<{MASK}>{MASK}"
    assert "with" not in redact("q=with%20space%2Fslash%2B&w=with space/slash+")


def test_of_values_within_values_nothing_is_left_over():
    remember("abcdef", "abcdefghi", "redacted")

    assert redact("abcdefghi abcdef") == f"{MASK} {MASK}"


def test_pattern_characters_in_a_value_mean_themselves():
    remember("a.c+(d)[e]\\1")

    assert redact("x a.c+(d)[e]\\1 x abccd") == f"x {MASK} x abccd"


def test_the_values_seen_last_are_known():
    # Given as many as are kept, the first of which is seen once more
    kept = [f"value-{number:04}" for number in range(redaction._MOST)]
    remember(*kept)
    remember(kept[0])
    # When two more are seen
    remember("another-one")
    remember("and-another")
    # Then whatever was not seen for longest is let go
    assert redact(f"{kept[0]} {kept[1]} {kept[2]} {kept[3]} another-one") == f"{MASK} {kept[1]} {kept[2]} {MASK} {MASK}"


def test_each_line_of_a_known_key_is_masked_and_so_is_any_other_key():
    remember(PEM)
    other = PEM.replace("secret", "0ther0")

    assert "line02" not in redact("cannot parse line MIIEpAIBAAKCAQEAsecretsecretsecretsecretsecretsecretsecretline02")
    assert "secret" not in redact(PEM.replace("\n", "\\n"))
    assert "0ther0" not in redact(other)


def test_a_key_in_one_line_is_masked_by_its_parts():
    remember(PEM.replace("\n", " "))

    assert "line01" not in redact("MIIEpAIBAAKCAQEAsecretsecretsecretsecretsecretsecretsecretline01")


def test_values_too_short_to_be_secret_are_not_words_to_mask():
    remember("the", "", "  \n")

    assert redact("the end") == "the end"


def test_a_value_is_masked_without_the_newline_it_was_stored_with():
    remember("tr0ub4dor\n")

    assert redact("tr0ub4dor.") == f"{MASK}."


@pytest.mark.parametrize(
    "name", ["token", "access_token", "X-Webhook-Token", "apikey", "api_key", "Password", "client_secret", "Set-Cookie"]
)
def test_names_that_hold_secrets(name):
    assert names_secret(name)


@pytest.mark.parametrize("name", ["secret", "token_kind", "run_id", "stage", "tokens_used", "key"])
def test_names_that_do_not(name):
    assert not names_secret(name)


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data())
def test_no_text_of_a_secret_shape_is_passed_over(shape: Shape, data: st.DataObject) -> None:
    """Whatever a shape matches, of all of Unicode, has a hint of it."""
    text = data.draw(st.from_regex(re.compile(shape.pattern, re.DOTALL)))
    assert any(hint in text.casefold() for hint in shape.hints)


# Encodings of known values


@pytest.mark.parametrize(
    "encode",
    [
        lambda value: b64encode(value).decode(),
        lambda value: b64encode(b"x" + value + b"yz").decode(),
        lambda value: b64encode(b"user:" + value + b"\n").decode(),
        lambda value: urlsafe_b64encode(b"a" + value).decode(),
        lambda value: value.hex(),
        lambda value: value.hex().upper(),
        quote_plus,
        lambda value: json.dumps(value.decode())[1:-1],
        lambda value: json.dumps(json.dumps(value.decode()))[1:-1],
        lambda value: value[:6].decode() + "\n" + value[6:].decode(),
        lambda value: value[:6].decode() + "\r\n    " + value[6:].decode(),
        lambda value: value[:4].decode() + "\\n" + value[4:12].decode() + "\\n" + value[12:].decode(),
        lambda value: "\n".join(textwrap.wrap(b64encode(b"id:" + value).decode(), 8)),
    ],
)
def test_a_known_value_is_masked_in_its_usual_encodings(encode):
    value = b'tr0ub4dor "and\\ ~>?3'
    remember(value.decode())
    encoded = encode(value)

    shown = redact(f"before\n{encoded}\nafter")

    assert MASK in shown
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter")
    kept = shown.removeprefix("before\n").removesuffix("\nafter").replace(MASK, "")
    assert len(kept) <= 10, "but for what depends on its neighbours"


def test_what_stands_around_a_wrapped_value_stays():
    remember("tr0ub4dor-and-three")

    assert redact("one\ntwo tr0ub4d\n  or-and-three three\nfour") == f"one\ntwo {MASK} three\nfour"


# Long texts


def test_a_long_text_is_cut_after_it_was_masked():
    remember("tr0ub4dor")
    for before in range(redaction.LONGEST - 12, redaction.LONGEST + 2):
        shown = redact("x" * before + " tr0ub4dor " + "y" * 100_000)

        assert len(shown) <= redaction.LONGEST + len(redaction.CUT)
        assert shown.endswith(redaction.CUT)
        assert "tr0u" not in shown
    masked = redact("tr0ub4dor" * 10_000)
    assert "tr0u" not in masked.replace(MASK, "")


def test_a_cut_leaves_no_part_of_a_secret():
    secret = "Zq" + "0123456789" * 50
    remember(secret)
    for words in range(0, 1000, 7):
        shown = redact("w" * words + secret * 20)

        assert "0123" not in shown.replace(MASK, ""), words


@pytest.mark.parametrize("folder", ["functions", "shared", "local"])
def test_no_text_is_cut_before_it_is_masked(folder: str) -> None:
    """Half a secret is not recognised: `redact` takes the length to cut to."""
    calls = (
        (file.name, call)
        for file in (Path(__file__).parents[2] / folder).rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "redact"
    )
    cut = [
        f"{file}:{call.lineno}"
        for file, call in calls
        if any(isinstance(part, ast.Slice) for given in call.args for part in ast.walk(given))
    ]
    assert cut == []


PUMPED = [
    *(
        "x-",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "eyJ-",
        "eyJ.",
        "://",
        "a://b@",
        "token",
        "token=",
        "token:",
    ),
    *(
        "token: ",
        "'token': '",
        "token\\\\",
        "\\\\",
        "secret_",
        "x-token-",
        "x-a-token",
        "Cookie: a=",
        "cookie",
        "bearer ",
    ),
    *(
        "bearer  ",
        "basic ",
        "basic x",
        "--token ",
        "--",
        "-u a:",
        "-u ",
        "?key=",
        "&sig=",
        "https://hooks.slack.com/services/",
    ),
    *("https://a.a.webhook.office.com/", "xoxb-", "ghp_", "SG.a", "N" * 24 + ".", "pat", "password: ", "password  "),
    *(
        "login a password ",
        "identified by '",
        "<token>",
        "<a-token",
        "a" * 14 + ".",
        "0",
        "a1",
        " ",
        "\t",
        "\n",
        "\\n",
        "=",
        ":",
    ),
    *(
        "'",
        '"',
        "&quot;",
        "token&quot;:&quot;",
        "api_key",
        "access_token$production$",
        "/bot1",
        "1:AA",
        "AGE-SECRET-KEY-",
        "é",
    ),
]


@pytest.mark.parametrize("piece", [*PUMPED, *sorted({hint for shape in SHAPES for hint in shape.hints})])
def test_the_time_grows_no_faster_than_the_text(piece: str) -> None:
    """Of every shape by itself, on text that begins to look like a secret everywhere."""
    remember("tr0ub4dor", "aaaaaaa", "token-token")
    for tail in ("", "a" * 40, " " * 40, "\\" * 40):
        whole = piece + tail
        long = _cpu(lambda whole=whole: _mask_all(whole, 16_000), times=1)
        if long > 0.05:  # a second look, as a machine is slow at times
            short, long = (_cpu(lambda whole=whole, n=n: _mask_all(whole, n)) for n in (4_000, 16_000))
            assert long < 8 * short, f"{whole[:60]!r}: {short * 1e3:.1f} ms, then {long * 1e3:.1f} ms"


def _mask_all(piece: str, length: int) -> None:
    text = (piece * (length // len(piece) + 1))[:length]
    redaction._known.mask(text)
    for shape in SHAPES:
        shape.mask(text)


def _cpu(work: Callable[[], object], times: int = 3) -> float:
    """Seconds of processor time, the least of so many."""
    taken = []
    for _ in range(times):
        begun = process_time()
        work()
        taken.append(process_time() - begun)
    return min(taken)


def test_an_endless_text_takes_no_longer_than_a_long_one() -> None:
    long, endless = (_cpu(lambda n=n: redact("x-token" * n)) for n in (1_000, 1_000_000))
    assert endless < 20 * long + 0.05


# What is found, and what is left alone


def test_every_shape_of_the_corpus_is_found() -> None:
    """Each is a way in which secrets were seen in logs."""
    shapes = secret_corpus.shapes()
    missed = [text for text, secret in shapes if secret in redact(text)]

    assert len(shapes) >= 150
    assert missed == []


def test_ordinary_lines_are_left_alone() -> None:
    lines = secret_corpus.ordinary_lines()
    touched = [line for line in lines if redact(line) != line]

    assert len(lines) >= 1000
    assert len(touched) <= len(lines) // 100, touched
