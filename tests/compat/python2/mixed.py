"""Does what the runner says, for the scenario in which all clients share one service."""

from nodes import NODES, RUN, cached, connect, deregister, register
from report import ask, say


async def play():
    client = await connect(*NODES)
    service, group = "compat-mixed-%s" % RUN, "DEFAULT_GROUP"
    while True:
        verb, *words = (await ask("next")).split(" ")
        try:
            found = []
            if verb == "end":
                return
            if verb == "register":
                await register(client, service, int(words[0]), float(words[1]), group=group)
            if verb == "deregister":
                await deregister(client, service, int(words[0]), group=group)
            if verb == "list":
                hosts = await cached(client, service, group=group)
                found = sorted("%d/%g/%s" % (host.port, host.weight, str(host.healthy).lower()) for host in hosts)
            say({"done": verb, "hosts": found})
        except Exception as error:
            say({"done": verb, "error": str(error)})
