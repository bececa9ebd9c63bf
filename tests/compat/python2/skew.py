"""Nodes whose clocks stand apart: the second of the three is 5 s ahead, the third 5 s behind.

No update may be lost, also by who moves from the one to the other: this client drops a list that is not newer than the one it has.
"""

import asyncio
import time

from nodes import NODES, Watch, connect, led, register, service_name, spread
from report import ask, eventually, run, since, times


async def play():
    ahead, behind = NODES[1], NODES[2]
    service = service_name("skew")
    publishers = [await connect(node) for node in NODES]
    for at, publisher in enumerate(publishers):
        await register(publisher, service, 80 + at)
    (mover, _), (moving_publisher, _), (asking, _) = await spread([ahead, behind], [ahead], 3)
    await register(moving_publisher, service, 83)
    seen = await Watch.start(mover, service)
    behind_seen = await Watch.start(await connect(behind), service)
    for watch in (seen, behind_seen):
        await watch.lists("all four", 10, 80, 81, 82, 83)
    await run("skew_ahead", changes(publishers, service, seen, 2))
    await run("skew_behind", changes(publishers, service, behind_seen, 3))
    # What a node says when it is asked is dated by its own clock, which the other nodes may not have heard of since.
    await asyncio.sleep(6)
    quiet = await Watch.start(asking, service)
    await quiet.lists("all four", 10, 80, 81, 82, 83)
    dead = await ask("stop")
    start = time.monotonic()

    async def moves():
        # The three that moved, the pinned subscriber and its publisher.
        await eventually("connections to the node behind", 25, lambda: led(behind) >= 5)
        await register(publishers[0], service, 80, 40.0)
        # Up to 30 s pass until this client subscribes again.
        await eventually("a change after the move", 45, lambda: any(host.weight == 40.0 for host in seen.hosts))
        return since(start), "from 5 s ahead to 5 s behind, until the first change is heard of there"

    async def publisher_moved():
        ms = await behind_seen.change("its update", register(moving_publisher, service, 83, 60.0),
                                      lambda hosts: any(host.weight == 60.0 for host in hosts), within_s=10)
        return ms, "an instance first published 5 s ahead is updated 5 s behind"

    async def moved_at_once():
        # It subscribes again up to 30 s after the other did.
        await eventually("the change", 33, lambda: any(host.weight == 40.0 for host in quiet.hosts))
        return "the same, by one that had asked the node ahead just before"

    await run("skew_moves", moves())
    await run("skew_moved_at_once", moved_at_once())
    await run("skew_moved", changes(publishers[:1], service, seen, 50))
    await run("skew_moved_publisher", publisher_moved())
    await ask("start")

    async def returned():
        back = await Watch.start(await connect(dead), service)
        await back.lists("those that live", 10, 80, 82, 83)
        return await changes(publishers[:1], service, back, 70)

    await run("skew_returned", returned())


async def changes(publishers, service, seen, begin):
    """Two changes by each publisher in turn, each to be heard of by `seen`."""
    taken = []
    for round in range(2):
        for at, publisher in enumerate(publishers):
            weight = begin * 10 + round * 3 + at + 0.5
            change = register(publisher, service, 80 + at, weight)
            taken.append(await seen.change("a change", change, lambda hosts: any(host.weight == weight for host in hosts)))
            await asyncio.sleep(0.1)
    return times(taken)
