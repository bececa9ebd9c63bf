"""Everything once more, briefly, through TLS."""

import os

from v2.nacos import TLSConfig

from nodes import Watch, cached, connect, has, register, service_name
from report import check, eventually, run


async def secure(nodes, authority):
    """To the nodes that the runner named so, trusting the authority that it named so."""
    # This client reads all three files, whether the server asks for a certificate or not.
    settings = TLSConfig(enabled=True, ca_file=os.environ[authority], cert_file=os.environ["COMPAT_TLS_CERT"], key_file=os.environ["COMPAT_TLS_KEY"])
    return await connect(*os.environ[nodes].split(","), tls=settings)


async def play():
    service = service_name("tls")
    publisher, subscriber = await secure("COMPAT_TLS", "COMPAT_TLS_CA"), await secure("COMPAT_TLS", "COMPAT_TLS_CA")

    async def lists():
        async def found():
            return has(await cached(subscriber, service), 1)

        await eventually("the instance", 5, found)

    async def pushed():
        seen = await Watch.start(subscriber, service)
        ms = await seen.change("another weight", register(publisher, service, 1, 2.0), lambda hosts: any(host.weight == 2.0 for host in hosts))
        return ms, "publisher's call to subscriber's callback"

    async def refused():
        try:
            client = await secure("COMPAT_TLS", "COMPAT_TLS_OTHER_CA")
            await register(client, service, 2)
        except Exception as error:
            return "%s" % error
        check(False, "it registers in spite of another authority")

    async def mutual():
        await register(await secure("COMPAT_TLS_MUTUAL", "COMPAT_TLS_CA"), service, 3)
        return "with a certificate, at a node that asks for one"

    await run("tls_register", register(publisher, service, 1))
    await run("tls_list", lists())
    await run("tls_push", pushed())
    await run("tls_refuses_unknown_ca", refused())
    await run("tls_mutual", mutual())
