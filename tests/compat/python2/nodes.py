"""Connecting, the calls that every scenario makes, and what the callbacks of a subscription said."""

import asyncio
import importlib.metadata
import itertools
import os
import time

import psutil
from v2.nacos import (
    BatchRegisterInstanceParam,
    ClientConfigBuilder,
    DeregisterInstanceParam,
    GRPCConfig,
    ListInstanceParam,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)

from report import VERSION, Failed, check, eventually, since

NODES = os.environ["COMPAT_NODES"].split(",")
RUN = os.environ["COMPAT_RUN"]
IP = os.environ["COMPAT_IP"]
PORT = int(os.environ["COMPAT_PORT"])
LOGS = os.environ["COMPAT_LOGS"]
# A group of its own, so that grouped names are exercised.
GROUP = "compat-python-%s" % VERSION
check(importlib.metadata.version("nacos-sdk-python") == VERSION, "the client installed is not %s" % VERSION)
_numbers = itertools.count()


def service_name(word):
    return "compat-python-%s-%s" % (word, RUN)


async def connect(*nodes, tls=None):
    # A cache folder of its own: the client would else start from what another one wrote.
    cache = "%s/python-cache/%d-%d" % (LOGS, os.getpid(), next(_numbers))
    builder = ClientConfigBuilder().server_address(",".join(nodes)).log_dir("%s/python-%s" % (LOGS, VERSION)).cache_dir(cache)
    builder = builder.load_cache_at_start(False).grpc_config(GRPCConfig(grpc_timeout=5000))
    if tls:
        builder = builder.tls_config(tls)
    return await NacosNamingService.create_naming_service(builder.build())


async def close(client):
    try:
        await client.shutdown()
    except TypeError:
        pass  # 2.0.11 awaits what is no coroutine, after all is closed


def instance(service, number, weight=1.0, group=GROUP, **more):
    more = {"ip": IP, "port": PORT + number, "cluster_name": "DEFAULT", **more}
    return RegisterInstanceParam(service_name=service, group_name=group, weight=weight, **more)


async def register(client, service, number, weight=1.0, **more):
    check(await client.register_instance(instance(service, number, weight, **more)), "the answer is not ok")


async def deregister(client, service, number, group=GROUP, ephemeral=True):
    param = DeregisterInstanceParam(ip=IP, port=PORT + number, cluster_name="DEFAULT", service_name=service, group_name=group, ephemeral=ephemeral)
    check(await client.deregister_instance(param), "the answer is not ok")


def batch(service, instances):
    return BatchRegisterInstanceParam(service_name=service, group_name=GROUP, instances=instances)


async def cached(client, service, healthy_only=None, clusters=(), group=GROUP):
    param = ListInstanceParam(service_name=service, group_name=group, clusters=list(clusters), healthy_only=healthy_only)
    return await client.list_instances(param)


async def listed(service, *nodes):
    """Asks a server anew: this client lists from its cache alone, so each question takes a client of its own."""
    client = await connect(*nodes)
    try:
        return await cached(client, service)
    finally:
        await close(client)


def has(hosts, *numbers):
    return {PORT + number for number in numbers} <= {host.port for host in hosts}


class Watch:
    """What the callbacks of one subscription said, when, and which instances they left out for how long."""

    def __init__(self):
        self.hosts = []
        self.calls = 0
        self._wanted = None
        self._told = None
        self._away = {}
        self._longest = {}

    @classmethod
    async def start(cls, client, service):
        watch = cls()
        watch.param = SubscribeServiceParam(service_name=service, group_name=GROUP, subscribe_callback=watch._called)
        await client.subscribe(watch.param)
        return watch

    async def _called(self, hosts):
        now, ports = time.monotonic(), {host.port for host in hosts}
        for host in self.hosts:
            if host.port not in ports:
                self._away[host.port] = now
        for port in ports & self._away.keys():
            self._longest[port] = max(self._longest.get(port, 0), now - self._away.pop(port))
        self.calls += 1
        self.hosts = hosts
        if self._wanted and self._wanted(hosts):
            self._told, self._wanted = now, None

    async def change(self, what, change, wanted, within_s=5):
        """From the publisher's call to the subscriber's callback, in milliseconds."""
        self._told, self._wanted = None, wanted
        begin = time.monotonic()
        await change
        await eventually(what, within_s, lambda: self._told)
        return (self._told - begin) * 1000

    async def lists(self, what, within_s, *numbers):
        await eventually(what, within_s, lambda: has(self.hosts, *numbers))

    def absence(self, *numbers):
        """The longest time in ms that callbacks left one of these out, up to now for one that is still away."""
        now = time.monotonic()
        of = [max(self._longest.get(PORT + number, 0), now - self._away.get(PORT + number, now)) for number in numbers]
        return max(of) * 1000


def connections():
    """To which port each TCP connection of this process leads, by the connection's own port."""
    found = psutil.Process().net_connections(kind="tcp")
    return {one.laddr.port: one.raddr.port for one in found if one.status == psutil.CONN_ESTABLISHED}


def grpc_port(node):
    return int(node.rsplit(":", 1)[1]) + 1000


def led(*nodes):
    ports = {grpc_port(node) for node in nodes}
    return sum(port in ports for port in connections().values())


async def spread(known, wanted, each):
    """Clients that know all of `known`, `each` of them on every one of `wanted`: the client chooses at random."""
    made = []
    for _ in range(60):
        on = {node: sum(its == node for _, its in made) for node in wanted}
        if all(count >= each for count in on.values()):
            return made
        before = connections()
        client = await connect(*known)

        def fresh():
            new = {port for own, port in connections().items() if own not in before}
            return next((node for node in known if grpc_port(node) in new), None)

        node = await eventually("a connection", 5, fresh)
        if on.get(node, each) < each:
            made.append((client, node))
        else:
            await close(client)
    raise Failed("sixty clients did not come to all nodes")
