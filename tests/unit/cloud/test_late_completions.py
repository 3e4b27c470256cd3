"""What gRPC completes for one test's loop after that is closed does not raise in the next test's."""

import asyncio
import socket
from typing import Any

import grpc
import late_completions
import pytest


def test_a_completion_for_a_closed_loop_is_left_alone():
    errors: list[dict[str, Any]] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        kept = [_left_behind(address)]
        loop = late_completions.Loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        loop.run_until_complete(_until_timeout(address))
        loop.close()
        del kept

    assert errors == []


def _left_behind(address: str) -> list[Any]:
    """A call that ends 0.3 s later, in a loop that is closed."""
    channel: list[Any] = []

    async def begin() -> None:
        channel.append(grpc.aio.insecure_channel(address))
        channel.append(channel[0].unary_unary("/nobody/answers")(b"", timeout=0.3))
        await asyncio.sleep(0.1)

    loop = late_completions.Loop()
    loop.run_until_complete(begin())
    loop.close()
    return channel


async def _until_timeout(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
            await channel.unary_unary("/nobody/answers")(b"", timeout=1)
