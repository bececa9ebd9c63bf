'use strict';

// What a client program says to the runner: one JSON line a step on standard output. Questions to the runner ("ask") go
// the same way; its answers come as one word a line on standard input.

const readline = require('node:readline');

const client = 'node';
const version = process.env.COMPAT_VERSION;
const answers = [];
const waiting = [];

const input = readline.createInterface({ input: process.stdin });
input.on('line', line => {
  const next = waiting.shift();
  if (next) next(line);
  else answers.push(line);
});
// The runner went away: a client program must not outlive it.
input.on('close', () => process.exit(3));

exports.print = value => process.stdout.write(JSON.stringify(value) + '\n');

exports.step = (step, result, ms, detail = '') =>
  exports.print({ client, version, step, result, ms: Math.round(ms * 10) / 10, detail: String(detail) });

exports.answer = () =>
  new Promise(resolve => {
    if (answers.length) resolve(answers.shift());
    else waiting.push(resolve);
  });

exports.ask = async what => {
  exports.print({ ask: what });
  return exports.answer();
};

/** Runs one step: it passes when `body` returns, and what `body` returns is its detail. `body` may measure for itself by `{ ms, detail }`. */
exports.run = async (step, body) => {
  const start = performance.now();
  try {
    const outcome = await body();
    const own = outcome && typeof outcome === 'object';
    exports.step(step, 'ok', own ? outcome.ms : performance.now() - start, own ? outcome.detail : outcome || '');
    return true;
  } catch (error) {
    exports.step(step, 'fail', performance.now() - start, error.message);
    return false;
  }
};

exports.sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

exports.check = (condition, message) => {
  if (!condition) throw new Error(message);
};

/** Asks `probe` every 20 ms until it gives something true; fails with `what` after `ms`. */
exports.eventually = async (what, ms, probe) => {
  const start = performance.now();
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() - start > ms) throw new Error(`${what}: not within ${ms} ms`);
    await exports.sleep(20);
  }
};

exports.times = list => {
  const sorted = [...list].sort((a, b) => a - b);
  const p50 = sorted[Math.floor((sorted.length - 1) / 2)];
  return { ms: p50, detail: `n=${list.length} p50=${p50.toFixed(1)} max=${sorted[sorted.length - 1].toFixed(1)}` };
};
