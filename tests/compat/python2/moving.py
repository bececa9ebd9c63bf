"""A node ends under its clients, killed or told to stop: they go on by themselves.

This client connects to another node at once, but a loop that wakes every 30 s is what registers and subscribes again: an idle client's
instances may be away so long where the server does not hold them for it.
"""

import asyncio
import time

from nodes import NODES, Watch, connect, has, led, listed, register, service_name, spread
from report import ask, check, eventually, run, since

REDO_S = 30


async def play(name, end, begin):
    service = service_name(name)
    # Of each node's two clients the first stays idle, the second calls.
    movers = await spread(NODES, NODES, 2)
    numbers = [50 + at for at in range(len(movers))]
    for number, (client, _) in zip(numbers, movers):
        await register(client, service, number)
    moved = [await Watch.start(client, service) for client, _ in movers]
    pinned = {node: await connect(node) for node in NODES}
    seen = {node: await Watch.start(client, service) for node, client in pinned.items()}
    for watch in moved + list(seen.values()):
        await watch.lists("all, everywhere", 10, *numbers)
    await asyncio.sleep(1)

    dead = await ask(end)
    start = time.monotonic()
    idle, calling = [at for at, (_, node) in enumerate(movers) if node == dead]
    survivors = [node for node in NODES if node != dead]

    async def stays():
        await asyncio.sleep(45 - since(start) / 1000)
        absence = max(seen[node].absence(*numbers) for node in survivors)
        check(absence < (REDO_S + 5) * 1000, "a callback on a survivor left one out for %d ms" % absence)
        for node in survivors:
            check(has(seen[node].hosts, *numbers), "one is no longer listed")
        return "no callback on the two survivors left one out, for 45 s" if not absence else (
            "callbacks on the survivors left one out for %d ms: this client publishes again up to %d s late" % (absence, REDO_S))

    async def moves():
        # All but the one that knows the dead node alone.
        await eventually("a connection to another node for each client", 25, lambda: led(*survivors) >= len(movers) + len(pinned) - 1)
        return since(start), "until all clients are on the other nodes"

    async def registers():
        async def once():
            try:
                await register(movers[calling][0], service, numbers[calling], 2.0)
                return True
            except Exception:
                return False

        await eventually("a registration", 25, once)
        return since(start), "until a client of the ended node registers again"

    async def event():
        await register(pinned[survivors[0]], service, 60)
        await moved[idle].lists("a change made after the end", REDO_S + 15, 60)
        return since(start), "until an idle client of the ended node hears of a change made since"

    async def lists():
        async def all_of_them():
            try:
                return has(await listed(service, *NODES), *numbers, 60)
            except Exception:
                return False

        await eventually("all of them", REDO_S + 15, all_of_them)
        return "by a client that starts now and knows all three nodes"

    steps = [("stays_listed", stays()), ("moves", moves()), ("register", registers()), ("event", event()), ("list", lists())]
    await asyncio.gather(*(run("%s_%s" % (name, step), body) for step, body in steps))

    async def settled():
        ms = await moved[idle].change("a change", register(pinned[survivors[0]], service, 62), lambda hosts: has(hosts, 62))
        return ms, "a change, heard of by an idle client that has moved"

    await run("%s_settled" % name, settled())
    await ask(begin)

    async def restarted():
        async def all_of_them():
            return has(await listed(service, dead), *numbers)

        await eventually("all on the node that is back", 10, all_of_them)
        change = register(await connect(dead), service, 61)
        ms = await seen[dead].change("a change", change, lambda hosts: has(hosts, 61), within_s=75)
        return ms, "until a client that knows that node alone hears of a change there"

    await run("%s_restarted_node" % name, restarted())
