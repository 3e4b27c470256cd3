"""Virtual time: everything happens in the order in which it would, and at once."""

import asyncio
import contextlib
import itertools
import time

import pytest

from local.simulation import loop


def test_timers_come_in_the_order_of_their_times_and_then_as_they_were_set() -> None:
    happened: list[tuple[float, str]] = []

    async def main() -> None:
        running = asyncio.get_running_loop()
        for seconds, name in ((3600.0, "late"), (5.0, "first"), (5.0, "second"), (1.0, "early"), (2.0, "never")):
            timer = running.call_later(seconds, lambda name=name: happened.append((running.time(), name)))
            if name == "never":
                timer.cancel()
        running.call_soon(happened.append, (0.0, "at once"))
        await asyncio.sleep(4000)

    began = time.monotonic()
    loop.run(main())
    assert happened == [(0.0, "at once"), (1.0, "early"), (5.0, "first"), (5.0, "second"), (3600.0, "late")]
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("sleep", [asyncio.sleep, loop.sleep], ids=["asyncio", "lean"])
def test_what_is_ready_comes_before_what_is_due_later(sleep) -> None:
    happened: list[str] = []

    async def worker(name: str, pause: float) -> None:
        for turn in range(3):
            await sleep(pause)
            happened.append(f"{name}{turn}")

    async def main() -> None:
        await asyncio.gather(worker("a", 2), worker("b", 3), worker("z", 0))

    loop.run(main())
    assert happened == ["z0", "z1", "z2", "a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_sleep_can_be_cancelled_and_time_does_not_go_on_to_its_end() -> None:
    async def main() -> float:
        running = asyncio.get_running_loop()
        sleeper = running.create_task(loop.sleep(100))
        await loop.sleep(1)
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        return running.time()

    assert loop.run(main()) == 1.0


def test_a_timeout_ends_a_sleep() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7):
                await loop.sleep(100)
        return asyncio.get_running_loop().time()

    assert loop.run(main()) == 7.0


def test_a_task_is_waited_for_until_it_is_done_or_the_time_is_up() -> None:
    async def main() -> list[tuple[bool, float]]:
        running = asyncio.get_running_loop()
        found = []
        for seconds in (3, 30):
            task = running.create_task(asyncio.sleep(seconds))
            found.append((await loop.done_within(task, 10), running.time()))
        return found

    assert loop.run(main()) == [(True, 3.0), (False, 13.0)]


def test_to_wait_for_what_nobody_will_do_is_noticed() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(loop.Stalled):
        loop.run(main())


def test_time_goes_on_however_little_of_a_wait_is_left() -> None:
    """Once two instants that were nearly the same counted as one, and what waited for the second waited forever."""

    async def main() -> tuple[float, int]:
        running, looks, until = asyncio.get_running_loop(), 0, 251.73993614173077 + 3e-10
        await asyncio.sleep(251.73993614173077)
        while until > running.time() and looks < 10:
            looks += 1
            await asyncio.sleep(until - running.time())
        return until - running.time(), looks

    left, looks = loop.run(main())
    assert left <= 0
    assert looks < 10


def test_what_takes_too_much_cpu_is_stopped_where_it_is() -> None:
    async def main() -> None:
        for _ in itertools.repeat(None):
            await asyncio.sleep(0)

    with pytest.raises(loop.Endless, match=r"no end after 0.2 s of CPU time, at /.*py:\d+ < "), loop.limited(0.2):
        loop.run(main())


def test_who_drops_the_first_is_stopped_by_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "AGAIN", 0.1)

    async def main() -> None:
        with contextlib.suppress(loop.Endless):
            for _ in itertools.repeat(None):
                pass
        for _ in itertools.repeat(None):
            pass

    with pytest.raises(loop.Endless), loop.limited(0.1):
        loop.run(main())


def test_who_goes_on_when_it_is_dropped_is_stopped_too() -> None:
    async def goes_on() -> None:
        for _ in itertools.repeat(None):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(goes_on())
        await asyncio.sleep(1)
        assert not task.done()

    with pytest.raises(loop.Endless), loop.limited(0.2):
        loop.run(main())


def test_a_callback_that_fails_does_not_keep_the_others_from_being_called() -> None:
    happened: list[str] = []

    async def main() -> None:
        running = asyncio.get_running_loop()
        running.call_soon(lambda: 1 // 0)
        running.call_soon(happened.append, "next")
        await asyncio.sleep(1)

    loop.run(main())
    assert happened == ["next"]
