"""The pump of the embedded bus as a program: `pump.py '{"folder": …, "addresses": …, "delivery": …}'`."""

import asyncio
import sys
from pathlib import Path

import httpx
import msgspec
from msgspec import Struct

from local.emulation.backend import open_journal
from local.emulation.bus import Pump
from local.topology import Delivery
from shared.runtime import log
from shared.runtime.clock import SystemClock
from shared.runtime.settings import Settings


class Order(Struct):
    folder: str
    addresses: dict[str, str]
    delivery: Delivery


async def work(order: Order) -> None:
    log.configure(Settings())
    journal = open_journal(Path(order.folder), order.addresses, order.delivery)
    async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=None)) as client:
        await Pump(journal, SystemClock(), client).run()


if __name__ == "__main__":
    asyncio.run(work(msgspec.json.decode(sys.argv[1], type=Order)))
