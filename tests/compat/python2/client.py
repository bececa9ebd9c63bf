"""The Python client of 2.x and 3.x against a cluster of three: `client.py steps|failover|stop|skew|mixed|tls|hold`. Settings come in
the environment: COMPAT_NODES=a,b,c  COMPAT_RUN=word  COMPAT_IP=address  COMPAT_PORT=first port of its own  COMPAT_LOGS=folder
COMPAT_VERSION=2.0.11|3.2.0
"""

import asyncio
import os
import sys

import mixed
import moving
import report
import skew
import steps
import tls


async def main(scenario):
    if scenario != "hold":
        report.listen()
    await {
        "steps": steps.play,
        "failover": lambda: moving.play("failover", "kill", "restart"),
        "stop": lambda: moving.play("stop", "stop", "start"),
        "skew": skew.play,
        "mixed": mixed.play,
        "tls": tls.play,
        "hold": steps.hold,
    }[scenario]()
    sys.stdout.flush()
    os._exit(0)  # its timers are no daemons


asyncio.run(main(sys.argv[1]))
