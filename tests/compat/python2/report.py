"""What a client program says to the runner: one JSON line a step; its questions go the same way, answers come on standard input."""

import asyncio
import json
import os
import sys
import threading
import time

VERSION = os.environ["COMPAT_VERSION"]
_answers = asyncio.Queue()


class Failed(Exception):
    pass


def listen():
    """To be called within the event loop; a thread of its own reads, for the loop must not wait for a line."""
    loop = asyncio.get_running_loop()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(_answers.put_nowait, line.strip())
        os._exit(3)  # the runner is gone: a client program must not outlive it

    threading.Thread(target=read, daemon=True).start()


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def ask(what):
    say({"ask": what})
    return await _answers.get()


def since(start):
    return (time.monotonic() - start) * 1000


async def run(step, body):
    """Runs one step. Its body returns the detail, or (ms, detail) where it measured for itself, and raises to fail."""
    start = time.monotonic()
    ok, ms, detail = True, None, ""
    try:
        outcome = await body
        ms, detail = outcome if isinstance(outcome, tuple) else (None, outcome or "")
    except Exception as error:
        ok, detail = False, "%s: %s" % (type(error).__name__, error)
    ms = since(start) if ms is None else ms
    say({"client": "python", "version": VERSION, "step": step, "result": "ok" if ok else "fail", "ms": round(ms, 1), "detail": str(detail)})
    return ok


def check(condition, message):
    if not condition:
        raise Failed(message)


async def eventually(what, within_s, probe):
    """Asks again until `probe`, a function or a coroutine function, finds something."""
    begin = time.monotonic()
    while True:
        found = probe()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        check(since(begin) < within_s * 1000, "%s: not within %s s" % (what, within_s))
        await asyncio.sleep(0.02)


def times(taken):
    ordered = sorted(taken)
    p50 = ordered[(len(ordered) - 1) // 2]
    return p50, "n=%d p50=%.1f max=%.1f" % (len(ordered), p50, ordered[-1])
