"""Everything the client can do: publisher, subscriber and a third client on three nodes."""

import asyncio
import os
import subprocess
import sys
import time

from v2.nacos import ListServiceParam

from nodes import GROUP, IP, NODES, PORT, Watch, batch, cached, connect, deregister, has, instance, listed, register, service_name
from report import ask, check, eventually, run, say, since, times


async def play():
    await asyncio.gather(run("stays_alive", stays_alive()), Stage().play())


class Stage:
    async def play(self):
        self.service = service_name("steps")
        # A connection publishes one instance, or one batch, under a service; a second instance takes a second connection.
        self.publisher, self.second = await connect(NODES[0]), await connect(NODES[0])
        self.subscriber, self.third = await connect(NODES[1]), await connect(NODES[2])
        await run("register", self.register())
        await run("list", self.list())
        await run("select_instances", self.select_instances())
        await run("select_clusters", self.select_clusters())
        self.seen = await Watch.start(self.subscriber, self.service)
        await run("subscribe_event", self.subscribe_event())
        await run("subscribe_before_service", self.subscribe_before_service())
        await asyncio.gather(run("killed_client_removed", self.killed()), self.rest())

    async def rest(self):
        await ask("turn")
        await run("push_times", self.push_times())
        await run("large_list", large_list())
        say({"ask": "turn_over"})
        await run("update_seen", self.update_seen())
        await run("service_list", self.service_list())
        await self.batches()
        await self.persistent()
        await run("unsubscribe", self.unsubscribe())
        await run("deregister", self.deregister())

    async def register(self):
        await register(self.publisher, self.service, 1, metadata={"zone": "a", "text": "ä b&c=d"})

    async def list(self):
        hosts = await eventually("the instance on another node", 5, lambda: cached(self.third, self.service))
        found = hosts[0]
        check(len(hosts) == 1 and found.metadata.get("text") == "ä b&c=d" and found.clusterName == "DEFAULT", "listed as %s" % found)
        check(found.healthy and found.ephemeral and found.weight == 1.0, "listed as %s" % found)

    async def select_instances(self):
        check(len(await cached(self.third, self.service, healthy_only=True)) == 1, "another number of healthy ones")
        check(not await cached(self.third, self.service, healthy_only=False), "selects unhealthy ones")

    async def select_clusters(self):
        check(len(await cached(self.third, self.service, clusters=["DEFAULT"])) == 1, "nothing in DEFAULT")
        check(not await cached(self.third, self.service, clusters=["other"]), "something in another cluster")

    async def subscribe_event(self):
        await self.seen.lists("the first callback", 5, 1)
        ms = await self.seen.change("the second instance", register(self.second, self.service, 2), lambda hosts: has(hosts, 2))
        return ms, "second instance, registered on another node"

    async def subscribe_before_service(self):
        early = service_name("early")
        seen = await Watch.start(self.subscriber, early)
        await asyncio.sleep(1)
        ms = await seen.change("the first instance", register(self.publisher, early, 3), lambda hosts: has(hosts, 3))
        return ms, "subscribed 1 s before the service was there"

    async def push_times(self):
        publisher, taken = await connect(NODES[0]), []
        for round in range(10):
            await asyncio.sleep(0.7)
            number = 10 + round // 2
            if round % 2 == 0:
                change, wanted = register(publisher, self.service, number), lambda hosts: has(hosts, number)
            else:
                change, wanted = deregister(publisher, self.service, number), lambda hosts: not has(hosts, number)
            taken.append(await self.seen.change("a change", change, wanted))
        return times(taken)

    async def update_seen(self):
        def changed(hosts):
            return [host for host in hosts if host.port == PORT + 2 and host.weight == 3.5 and host.metadata.get("zone") == "b"]

        update = self.second.update_instance(instance(self.service, 2, 3.5, metadata={"zone": "b"}))
        ms = await self.seen.change("weight and metadata", update, changed)
        await asyncio.sleep(2)
        check(changed(self.seen.hosts), "something undid it")
        return ms, "weight and metadata"

    async def service_list(self):
        found = await self.third.list_services(ListServiceParam(group_name=GROUP, page_no=1, page_size=1000))
        check(self.service in found.services and found.count == len(found.services), found)
        return "%d names" % found.count

    async def batches(self):
        service = service_name("batch")
        seen = await Watch.start(self.subscriber, service)
        all_three = batch(service, [instance(service, number) for number in (20, 21, 22)])
        one = batch(service, [instance(service, 21)])

        async def registers():
            ms = await seen.change("all three", self.publisher.batch_register_instances(all_three), lambda hosts: len(hosts) == 3)
            return ms, "three instances on one connection"

        async def leaves():
            # Its own lock is held by its own caller: without a limit a hang would be everybody's.
            leave = asyncio.wait_for(self.publisher.batch_deregister_instances(one), 5)
            ms = await seen.change("two of three", leave, lambda hosts: len(hosts) == 2 and not has(hosts, 21))
            return ms, "one of the three leaves"

        async def shorter():
            fewer = batch(service, [instance(service, 20)])
            ms = await seen.change("one of three", self.publisher.batch_register_instances(fewer), lambda hosts: len(hosts) == 1)
            return ms, "a shorter batch"

        await run("batch_register", registers())
        await run("batch_deregister", leaves())
        await run("batch_shorter", shorter())

    async def persistent(self):
        service = service_name("persistent")
        # The server may probe a persistent instance by TCP, so something must listen there.
        listening = await asyncio.start_server(lambda reader, writer: writer.close(), IP, PORT + 30)

        async def registers():
            await register(self.publisher, service, 30, ephemeral=False)
            hosts = await eventually("the persistent instance on another node", 5, lambda: listed(service, NODES[2]))
            check(not hosts[0].ephemeral, "listed as %s" % hosts[0])
            return "over gRPC"

        async def leaves():
            await deregister(self.publisher, service, 30, ephemeral=False)

            async def gone():
                return not await listed(service, NODES[2])

            await eventually("gone on another node", 5, gone)
            return "over gRPC"

        await run("persistent_register", registers())
        await run("persistent_deregister", leaves())
        listening.close()

    async def unsubscribe(self):
        leaver = await connect(NODES[1])
        left = await Watch.start(leaver, self.service)
        await left.lists("the first callback", 5, 2)
        await leaver.unsubscribe(left.param)
        known = left.calls
        change = register(self.second, self.service, 2, 7.0)
        await self.seen.change("a change, to who stayed subscribed", change, lambda hosts: any(host.weight == 7.0 for host in hosts))
        await asyncio.sleep(1)
        check(left.calls == known, "called after it had left")
        return "the other subscriber hears of the next change, this one does not"

    async def deregister(self):
        ms = await self.seen.change("the deregistered instance", deregister(self.second, self.service, 2), lambda hosts: not has(hosts, 2))
        begin = time.monotonic()
        while since(begin) < 3000:
            for node in NODES:
                check(not has(await listed(self.service, node), 2), "back on %s %d ms after it left" % (node, since(begin)))
            await asyncio.sleep(1)
        return ms, "gone at once, and stays gone on all nodes"

    async def killed(self):
        environment = dict(os.environ, HOLD_SERVICE=self.service)
        child = subprocess.Popen([sys.executable, sys.argv[0], "hold"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
        try:
            await self.seen.lists("the held instance", 20, 5)
            await asyncio.sleep(1)

            async def kill():
                child.kill()
                child.wait()

            ms = await self.seen.change("removed", kill(), lambda hosts: not has(hosts, 5), within_s=10)
            return ms, "kill -9 of the client, to the callback on another node"
        finally:
            child.kill()


async def large_list():
    """A thousand instances in one batch, seen on another node."""
    service = service_name("large")
    publisher, subscriber = await connect(NODES[0]), await connect(NODES[1])
    seen = await Watch.start(subscriber, service)

    def each(count):
        return instance(service, 100, ip="10.98.%d.%d" % (count // 250, count % 250 + 1), metadata={"noise": os.urandom(50).hex()})

    many = batch(service, [each(count) for count in range(1000)])
    ms = await seen.change("all thousand", publisher.batch_register_instances(many), lambda hosts: len(hosts) == 1000, within_s=10)
    return ms, "1,000 instances in one batch"


async def stays_alive():
    """A client that does nothing but exist."""
    service = service_name("idle")
    idle, subscriber = await connect(NODES[0]), await connect(NODES[1])
    await register(idle, service, 6)
    seen = await Watch.start(subscriber, service)
    await seen.lists("the idle instance", 5, 6)
    await asyncio.sleep(42)
    check(has(await listed(service, NODES[1]), 6) and not seen.absence(6), "it left: %s" % seen.hosts)
    return "idle for 42 s, listed all the time"


async def hold():
    """Holds one instance until it is killed."""
    client = await connect(NODES[0])
    await register(client, os.environ["HOLD_SERVICE"], 5)
    await asyncio.sleep(120)
