"""What a client program says to the runner: one JSON line a step; its questions go the same way, answers come on standard input."""

import json
import os
import queue
import sys
import threading
import time

CLIENT = "python"
VERSION = os.environ["COMPAT_VERSION"]
_answers = queue.Queue()
_lock = threading.Lock()


class Failed(Exception):
    pass


def listen():
    def read():
        for line in sys.stdin:
            _answers.put(line.strip())
        os._exit(3)  # the runner is gone: a client program must not outlive it

    threading.Thread(target=read, daemon=True).start()


def say(value):
    with _lock:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


def ask(what):
    say({"ask": what})
    return _answers.get()


def since(start):
    return (time.monotonic() - start) * 1000


def run(step, body, *args):
    """Runs one step. Its body returns the detail, or (ms, detail) where it measured for itself, and raises to fail."""
    start = time.monotonic()
    ok, ms, detail = True, None, ""
    try:
        outcome = body(*args)
        if isinstance(outcome, tuple):
            ms, detail = outcome
        else:
            detail = outcome or ""
    except Exception as error:
        ok, detail = False, "%s: %s" % (type(error).__name__, error)
    ms = since(start) if ms is None else ms
    say({"client": CLIENT, "version": VERSION, "step": step, "result": "ok" if ok else "fail", "ms": round(ms, 1), "detail": str(detail)})
    return ok


def start(step, body, *args):
    thread = threading.Thread(target=run, args=(step, body) + args)
    thread.start()
    return thread


def check(condition, message):
    if not condition:
        raise Failed(message)


def eventually(what, within_s, probe):
    begin = time.monotonic()
    while True:
        found = probe()
        if found:
            return found
        check(since(begin) < within_s * 1000, "%s: not within %s s" % (what, within_s))
        time.sleep(0.02)


def times(taken):
    ordered = sorted(taken)
    p50 = ordered[(len(ordered) - 1) // 2]
    return p50, "n=%d p50=%.1f max=%.1f" % (len(ordered), p50, ordered[-1])
