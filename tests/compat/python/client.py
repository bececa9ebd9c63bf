"""The Python client against a cluster of three: `client.py steps|failover|mixed|hold`. Settings come in the environment:
COMPAT_NODES=a,b,c  COMPAT_RUN=word  COMPAT_IP=address  COMPAT_PORT=first port of its own  COMPAT_VERSION=0.1.17|1.0.0
"""

import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
import time

import nacos
from nacos.listener import SubscribeListener

import report
from report import ask, check, eventually, run, say, since, start, times

NODES = os.environ["COMPAT_NODES"].split(",")
RUN = os.environ["COMPAT_RUN"]
IP = os.environ["COMPAT_IP"]
PORT = int(os.environ["COMPAT_PORT"])
VERSION = os.environ["COMPAT_VERSION"]
check(importlib.metadata.version("nacos-sdk-python") == VERSION, "the client installed is not %s" % VERSION)
# This client sends beats only when told how often; 5 s is what the others take from the server.
BEAT_S = 5
# Its subscription asks every 7 s, its default; there is no push to it.
POLL_S = 7


def connect(*nodes):
    client = nacos.NacosClient(",".join(nodes), logDir=os.environ["COMPAT_LOGS"])
    return client


def hosts(client, service):
    return client.list_naming_instance(service)["hosts"]


def find(client, service, number):
    found = [host for host in hosts(client, service) if host["port"] == PORT + number]
    check(len(found) <= 1, "twins: %s" % found)
    return found[0] if found else None


class Watch:
    """The events of one subscription: (event, port, healthy, when)."""

    def __init__(self, client, service):
        self.events = []
        client.subscribe(SubscribeListener(self._called, "watch"), POLL_S, service)

    def _called(self, event, local):
        self.events.append((event, local.instance["port"], local.instance["healthy"], time.monotonic(), local.instance))

    def told(self, what, change, wanted, within_s=20):
        known = len(self.events)
        begin = time.monotonic()
        change()
        event = eventually(what, within_s, lambda: next((e for e in self.events[known:] if wanted(e)), None))
        return (event[3] - begin) * 1000


def steps():
    publisher, other, third = connect(NODES[0]), connect(NODES[1]), connect(NODES[2])
    service = "compat-python-%s-%s" % (VERSION, RUN)

    def register():
        metadata = {"zone": "a", "text": "ä b&c=d"}
        check(publisher.add_naming_instance(service, IP, PORT + 1, "DEFAULT", 1.0, metadata, heartbeat_interval=BEAT_S), "the answer is not ok")

    def listed():
        found = eventually("the instance on another node", 5, lambda: find(third, service, 1))
        check(found["metadata"].get("text") == "ä b&c=d", "metadata came back as %s" % found["metadata"])
        check(found["weight"] == 1.0 and found["healthy"] is True and found["ephemeral"] is True, found)
        check(len(third.list_naming_instance(service, healthy_only=True)["hosts"]) == 1, "healthy_only lists another number")

    def get():
        found = third.get_naming_instance(service, IP, PORT + 1, "DEFAULT")
        check(found["ip"] == IP and found["port"] == PORT + 1 and found["clusterName"] == "DEFAULT", found)
        return "instance id %s" % found.get("instanceId")

    def heartbeat():
        answer = publisher.send_heartbeat(service, IP, PORT + 1, "DEFAULT")
        check(answer["clientBeatInterval"] == 5000 and answer.get("code") == 10200, answer)
        return answer

    run("add_instance", register)
    run("list_instance", listed)
    run("get_instance", get)
    run("send_heartbeat", heartbeat)

    seen = Watch(other, service)

    def added():
        ms = seen.told("the second instance", lambda: publisher.add_naming_instance(service, IP, PORT + 2, "DEFAULT", heartbeat_interval=BEAT_S),
                       lambda event: event[0] == "ADDED" and event[1] == PORT + 2)
        return ms, "second instance, registered on another node; this client polls every 7 s"

    run("subscribe_event", added)

    def stays():
        begin = time.monotonic()
        while since(begin) < 35000:
            found = find(third, service, 1)
            check(found and found["healthy"], "its beats do not hold it: %s" % found)
            time.sleep(1)
        check(not [e for e in seen.events if e[0] == "DELETED" and e[1] == PORT + 1], "a poll left it out")
        return "listed healthy for 35 s by its beats"

    alone = [
        start("stays_alive", stays),
        start("cluster_none", cluster_none, publisher, third, service),
        threading.Thread(target=killed, args=(seen, service)),
    ]
    alone[2].start()

    def modify():
        changed = {"zone": "b"}
        ms = seen.told("weight and metadata", lambda: check(
            publisher.modify_naming_instance(service, IP, PORT + 2, "DEFAULT", 3.5, changed, True), "the answer is not ok"),
            lambda event: event[0] == "MODIFIED" and event[1] == PORT + 2 and event[4]["weight"] == 3.5 and event[4]["metadata"].get("zone") == "b")
        return ms, "weight and metadata changed"

    def polled():
        taken = []
        for number in (10, 11):
            taken.append(seen.told("a new instance", lambda: publisher.add_naming_instance(service, IP, PORT + number, "DEFAULT"),
                                   lambda event: event[0] == "ADDED" and event[1] == PORT + number))
        return times(taken)

    def remove():
        ms = seen.told("the removed instance", lambda: check(
            publisher.remove_naming_instance(service, IP, PORT + 2, "DEFAULT"), "the answer is not ok"),
            lambda event: event[0] == "DELETED" and event[1] == PORT + 2)
        begin = time.monotonic()
        while since(begin) < 12000:
            for client in (publisher, third):
                check(not find(client, service, 2), "back %d ms after it was told" % since(begin))
            time.sleep(0.5)
        return ms, "gone, and stays gone for two beats"

    run("modify_instance", modify)
    run("poll_times", polled)
    run("remove_instance", remove)
    for thread in alone:
        thread.join()


def cluster_none(publisher, third, service):
    """Without a cluster this client registers in one called None, then beats and removes without naming any."""
    service = service + "-none"
    check(publisher.add_naming_instance(service, IP, PORT + 20, heartbeat_interval=BEAT_S), "the answer is not ok")
    eventually("listed", 5, lambda: find(third, service, 20))
    begin = time.monotonic()
    while since(begin) < 12000:
        found = hosts(third, service)
        check(len(found) == 1, "its beats made a twin: %s" % found)
        time.sleep(0.5)
    cluster = found[0]["clusterName"]
    check(publisher.remove_naming_instance(service, IP, PORT + 20), "the answer is not ok")
    removed = time.monotonic()
    eventually("gone", 3, lambda: not hosts(third, service))
    ms = since(removed)
    while since(removed) < 12000:
        for client in (publisher, third):
            check(not hosts(client, service), "a ghost %d ms after: %s" % (since(removed), hosts(client, service)))
        time.sleep(0.5)
    return ms, "one instance, in cluster %s; gone for good without naming the cluster" % cluster


def killed(seen, service):
    state = {}

    def unhealthy():
        child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "hold"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 env=dict(os.environ, HOLD_SERVICE=service))
        eventually("the held instance", 20, lambda: [e for e in seen.events if e[0] == "ADDED" and e[1] == PORT + 5])
        check(child.poll() is None, "the process to be killed ended by itself")
        known = len(seen.events)
        child.send_signal(signal.SIGKILL)
        child.wait()
        state["killed"] = time.monotonic()
        event = eventually("unhealthy", 32, lambda: next((e for e in seen.events[known:] if e[1] == PORT + 5 and not e[2]), None))
        return (event[3] - state["killed"]) * 1000, "kill -9 of the client, to the callback"

    def removed():
        event = eventually("removed", 48, lambda: next((e for e in seen.events if e[0] == "DELETED" and e[1] == PORT + 5), None))
        ms = (event[3] - state["killed"]) * 1000
        check(18000 < ms < (36 + POLL_S) * 1000, "removed after %d ms" % ms)
        return ms, "kill -9 of the client, to the callback"

    if run("killed_client_unhealthy", unhealthy):
        run("killed_client_removed", removed)


def hold():
    connect(NODES[0]).add_naming_instance(os.environ["HOLD_SERVICE"], IP, PORT + 5, "DEFAULT", heartbeat_interval=BEAT_S)
    time.sleep(120)


def failover():
    everywhere, listening = connect(*NODES), connect(*NODES)
    service = "compat-failover-python-%s-%s" % (VERSION, RUN)
    seen = Watch(listening, service)
    for number in (50, 51):
        everywhere.add_naming_instance(service, IP, PORT + number, "DEFAULT", heartbeat_interval=BEAT_S)
    eventually("both told", 20, lambda: {PORT + 50, PORT + 51} <= {e[1] for e in seen.events})

    dead = ask("kill")
    survivors = {node: connect(node) for node in NODES if node != dead}

    def stays():
        begin = time.monotonic()
        while since(begin) < 40000:
            for node, client in survivors.items():
                for number in (50, 51):
                    found = find(client, service, number)
                    check(found and found["healthy"], "%s lists %s" % (node, hosts(client, service)))
            time.sleep(1)
        check(not [e for e in seen.events if e[0] == "DELETED"], "a poll left a living instance out")
        return "on both survivors, healthy, for 40 s"

    staying = start("failover_stays_listed", stays)
    run("failover_register", lambda: check(everywhere.add_naming_instance(service, IP, PORT + 52, "DEFAULT", heartbeat_interval=BEAT_S), "the answer is not ok"))
    run("failover_list", lambda: eventually("the new instance", 10, lambda: find(everywhere, service, 52)) and None)

    def event():
        ms = seen.told("an instance", lambda: everywhere.add_naming_instance(service, IP, PORT + 53, "DEFAULT", heartbeat_interval=BEAT_S),
                       lambda event: event[0] == "ADDED" and event[1] == PORT + 53)
        return ms, "change made with one node dead"

    run("failover_event", event)
    staying.join()
    ask("restart")

    def back():
        client = connect(dead)
        eventually("all four on the restarted node", 10, lambda: all(find(client, service, number) for number in (50, 51, 52, 53)))

    run("failover_restarted_node", back)


def mixed():
    """Does what the runner says, for the scenario in which all clients share one service."""
    client = connect(*NODES)
    service = "compat-mixed-%s" % RUN
    while True:
        verb, *words = ask("next").split(" ")
        try:
            found = []
            if verb == "end":
                return
            if verb == "register":
                client.add_naming_instance(service, IP, PORT + int(words[0]), "DEFAULT", float(words[1]), heartbeat_interval=BEAT_S)
            if verb == "deregister":
                client.remove_naming_instance(service, IP, PORT + int(words[0]), "DEFAULT")
            if verb == "list":
                found = sorted("%d/%g/%s" % (host["port"], host["weight"], str(host["healthy"]).lower()) for host in hosts(client, service))
            say({"done": verb, "hosts": found})
        except Exception as error:
            say({"done": verb, "error": str(error)})


if sys.argv[1] != "hold":
    report.listen()
{"steps": steps, "failover": failover, "mixed": mixed, "hold": hold}[sys.argv[1]]()
sys.stdout.flush()
os._exit(0)  # its timers are no daemons
