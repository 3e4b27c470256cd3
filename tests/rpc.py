"""A gRPC server in the test's own process that stands in for a Google service, by the published method names."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

Answer = Callable[[Any], Awaitable[Any]]


class Refusal(Exception):
    """What an answer raises to end the call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Server(grpc.GenericRpcHandler):
    """`requests` has every call as (method, request), in order."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[tuple[str, Any]] = []
        self.metadata: list[dict[str, str]] = []
        self._methods: dict[str, tuple[type, Answer, bool]] = {}
        self.grpc = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])

    def on(self, method: str, request: type, answer: Answer, *, stream: bool = False) -> None:
        """`answer` makes the response, or for a stream the list of them."""
        self._methods[method] = (request, answer, stream)

    def count(self, method: str) -> int:
        return sum(name == method for name, _ in self.requests)

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        if call.method not in self._methods:
            return None
        kind, answer, stream = self._methods[call.method]

        async def unary(request: Any, context: Any) -> Any:
            self.requests.append((call.method, request))
            self.metadata.append(dict(context.invocation_metadata()))
            try:
                return await answer(request)
            except Refusal as refusal:
                await context.abort(refusal.code, refusal.details)

        async def streaming(request: Any, context: Any) -> AsyncIterator[Any]:
            for response in await unary(request, context):
                yield response

        make = grpc.unary_stream_rpc_method_handler if stream else grpc.unary_unary_rpc_method_handler
        return make(
            streaming if stream else unary,
            request_deserializer=kind.deserialize,
            response_serializer=lambda message: type(message).serialize(message),
        )


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    server.grpc.add_generic_rpc_handlers([server])
    server.address = f"127.0.0.1:{server.grpc.add_insecure_port('127.0.0.1:0')}"
    await server.grpc.start()
    try:
        yield server
    finally:
        await server.grpc.stop(None)
