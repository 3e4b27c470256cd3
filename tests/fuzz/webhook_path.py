"""The webhooks' function under a fuzzer that is led by coverage: `make fuzz` (libFuzzer's options: FUZZ_OPTIONS).

An input is a byte that chooses the event, and a body, which is signed here: the fuzzer would never guess a signature.
An exception, or an answer of 500 or more, is a finding; libFuzzer writes its input to build/fuzz.
"""

import asyncio
import hashlib
import hmac
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["shared", "functions"]):
    from starlette.requests import Request
    from unit.functions.scene import ImpatientLoop, Scene, opened

    from functions.webhooks.main import webhooks
    from shared.runtime import envelope

from fuzz.payloads import READ_OF_GITHUB, READ_OF_RAILWAY, github_payloads, railway_payloads

FOLDER = Path(__file__).parents[2] / "build" / "fuzz"
EVENTS = ("pull_request", "pull_request_review", "check_suite", "status", "issue_comment", "railway")


class Target:
    """The function, with everything behind it up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scene: Scene) -> None:
        self._loop = loop
        self._scene = scene
        self._key = scene.secrets["GITHUB_WEBHOOK_SECRET"].encode()
        self._railway = scene.secrets["RAILWAY_WEBHOOK_SECRET"].encode()

    def __call__(self, data: bytes) -> None:
        event, body = EVENTS[data[0] % len(EVENTS)] if data else EVENTS[0], data[1:]
        self._scene.bus.published.clear()
        self._scene.log.seek(0)
        self._scene.log.truncate()
        status = self._loop.run_until_complete(self._post(event, body))
        if status >= 500:
            raise AssertionError(f"{event}: {status}")
        for message in self._scene.bus.published:
            envelope.decode_event(message.data)

    async def _post(self, event: str, body: bytes) -> int:
        if event == "railway":
            path, headers = "/railway-webhook", [(b"x-webhook-secret", self._railway)]
        else:
            signature = b"sha256=" + hmac.new(self._key, body, hashlib.sha256).hexdigest().encode()
            path, headers = (
                "/github-webhook",
                [(b"x-github-event", event.encode()), (b"x-hub-signature-256", signature)],
            )
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return (await webhooks(Request(scope, receive))).status_code


def write_seeds() -> list[str]:
    """The vendors' payloads as a corpus, whole and down to what is read, and their words; as libFuzzer's arguments."""
    corpus = FOLDER / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    sent = [
        (EVENTS.index(event), one, READ_OF_GITHUB) for (event, _), one in github_payloads().items() if event in EVENTS
    ]
    sent += [(EVENTS.index("railway"), one, READ_OF_RAILWAY) for one in railway_payloads()]
    for nth, (event, payload, read) in enumerate(sent):
        for name, body in (("whole", payload), ("small", _only(payload, read))):
            (corpus / f"{nth}-{name}").write_bytes(bytes([event]) + json.dumps(body).encode())
    words = {name for path in (*READ_OF_GITHUB, *READ_OF_RAILWAY) for name in path} | {"acme/shop", "/deploy", "closed"}
    dictionary = FOLDER / "words"
    dictionary.write_text("".join(f'"{word}"\n' for word in sorted(map(str, words))), encoding="utf-8")
    return [str(corpus), f"-dict={dictionary}", f"-artifact_prefix={FOLDER}/", "-max_len=40000"]


def _only(payload: Any, read: list[Any]) -> dict[str, Any]:
    """The payload without what nobody reads."""
    small: dict[str, Any] = {}
    for path in sorted(read, key=len):
        inner, value = small, payload
        for name in path[:-1]:
            inner, value = inner.get(name) or {}, (value or {}).get(name)
        if isinstance(value, dict) and path[-1] in value:
            leaf = value[path[-1]]
            inner[path[-1]] = {} if isinstance(leaf, dict) else leaf
    return small


def main() -> None:
    arguments = write_seeds()
    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        opening = opened()
        scene = runner.run(opening.__aenter__())
        atheris.Setup([sys.argv[0], *arguments, *sys.argv[1:]], Target(runner.get_loop(), scene))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
