"""What a seed of the simulation costs, and where the time goes: python tests/load/seeds.py [--seeds 200]

Milliseconds of CPU, measured without the profiler; the shares are the profiler's, which makes small functions look
dearer than they are. The milliseconds are of this machine, the shares hardly.
"""

import cProfile
import gc
import pstats
import time
from collections import Counter
from pathlib import Path

import click

from local.simulation.simulation import simulate

ROOT = Path(__file__).parents[2]
PLACES = {
    "the simulation": ROOT / "local" / "simulation",
    "simulated vendors": ROOT / "local" / "world",
    "functions and shared": ROOT / "shared",
    "functions and shared ": ROOT / "functions",
}
ELSEWHERE = "Python and libraries"


@click.command()
@click.option("--seeds", default=200, show_default=True)
@click.option("--start", default=0, show_default=True)
def main(seeds: int, start: int) -> None:
    """What a seed of the simulation costs, and where the time goes."""
    simulate(start)  # everything is imported, and what is made once is made
    gc.disable()
    gc.freeze()
    click.echo(f"{1000 * _cpu(range(start, start + seeds)) / seeds:.0f} ms of CPU a seed\n")
    profile = cProfile.Profile()
    profile.runcall(_cpu, range(start, start + seeds // 4))
    shares = _shares(profile)
    for place, seconds in shares.most_common():
        click.echo(f"{seconds / shares.total():4.0%}  {place}")


def _cpu(seeds: range) -> float:
    began = time.process_time()
    for seed in seeds:
        simulate(seed)
    return time.process_time() - began


def _shares(profile: cProfile.Profile) -> Counter[str]:
    """Seconds by the place of the code; what is built in counts for whoever called it."""
    seconds: Counter[str] = Counter()
    for (file, _, _), (_, _, own, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if file == "~":
            for (caller, _, _), (_, _, spent, _) in callers.items():
                seconds[_place(caller)] += spent
        else:
            seconds[_place(file)] += own
    return seconds


def _place(file: str) -> str:
    return next((name.strip() for name, folder in PLACES.items() if Path(file).is_relative_to(folder)), ELSEWHERE)


if __name__ == "__main__":
    main()
