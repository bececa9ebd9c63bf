'use strict';

// The Node client against a cluster of three. `node client.js steps|failover|mixed|tls|hold`; settings come in the environment:
// COMPAT_NODES=a,b,c  COMPAT_RUN=word  COMPAT_IP=address  COMPAT_PORT=first port of its own  COMPAT_VERSION=2.6.3|2.6.0  COMPAT_MODULES=folder

const path = require('node:path');
const { spawn } = require('node:child_process');
const { run, ask, answer, print, sleep, check, eventually, times } = require('./report');

const { COMPAT_NODES, COMPAT_RUN, COMPAT_IP: ip, COMPAT_PORT, COMPAT_VERSION: version, COMPAT_MODULES } = process.env;
// 2.6.0 is the last that deregisters by the bare service name, so both are run. `nacos` itself only hands `nacos-naming` on.
const library = version === '2.6.0' ? 'nacos-naming-2.6.0' : 'nacos';
const load = name => require(require.resolve(name, { paths: [path.resolve(COMPAT_MODULES)] }));
check(load(`${library}/package.json`).version === version, `${library} installed is not ${version}`);
const { NacosNamingClient } = load(library);

const nodes = COMPAT_NODES.split(',');
const port = Number(COMPAT_PORT);
const log = (...words) => console.error(new Date().toISOString(), ...words);
const logger = { debug() {}, info: log, warn: log, error: log };

const clients = [];
async function connect(serverList, namespace, more = {}) {
  const client = new NacosNamingClient({ logger, serverList, ...(namespace ? { namespace } : {}), ...more });
  client.on('error', log);
  client._hostReactor.on('error', log);
  await client.ready();
  clients.push(client);
  return client;
}

/** Keeps what the last callback said, and when it came. */
function watch(client, info) {
  const seen = { hosts: [], at: 0, told: 0, shrunk: [], wanted: null };
  client.subscribe(info, hosts => {
    seen.at = performance.now();
    for (const old of seen.hosts) if (!hosts.some(host => host.port === old.port)) seen.shrunk.push(old.port);
    if (seen.wanted && seen.wanted(hosts)) {
      seen.told = seen.at;
      seen.wanted = null;
    }
    seen.hosts = hosts;
  });
  return seen;
}

const ports = hosts => hosts.map(host => host.port).sort((a, b) => a - b);
const has = (hosts, wanted) => hosts.some(host => host.port === wanted);
const instance = (number, more = {}) => ({ ip, port: port + number, ...more });

/** From the publisher's call to the subscriber's callback. */
async function told(seen, what, change, wanted) {
  seen.wanted = wanted;
  const start = performance.now();
  await change();
  await eventually(what, 15000, () => seen.wanted === null);
  return seen.told - start;
}

/** A child process that holds one instance by its beats; it is killed, so it says no good-bye. */
async function hold(service, number) {
  const child = spawn(process.execPath, [__filename, 'hold'], {
    env: { ...process.env, HOLD_SERVICE: service, HOLD_PORT: String(port + number), HOLD_NODE: nodes[0] },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', code => reject(new Error(`the process to be killed ended by itself: ${code}`)));
  });
  return child;
}

async function steps() {
  const publisher = await connect([nodes[0]]);
  const subscriber = await connect([nodes[1]]);
  const third = await connect([nodes[2]]);
  const service = `compat-node-${version}-${COMPAT_RUN}`;

  await run('register', async () => {
    await publisher.registerInstance(service, instance(1, { metadata: { zone: 'a', text: 'ä b&c=d' } }));
  });
  await run('get_all_instances', async () => {
    const hosts = await eventually('the instance on another node', 5000, async () => {
      const found = await third.getAllInstances(service, 'DEFAULT_GROUP', '', false);
      return found.length && found;
    });
    check(hosts.length === 1 && hosts[0].port === port + 1 && hosts[0].ip === ip, `listed ${JSON.stringify(hosts)}`);
    check(hosts[0].metadata.text === 'ä b&c=d', `metadata came back as ${JSON.stringify(hosts[0].metadata)}`);
    check(hosts[0].ephemeral === true && hosts[0].clusterName === 'DEFAULT', `listed ${JSON.stringify(hosts[0])}`);
    // It lists what it first heard until it is pushed to.
    await eventually('the instance in the subscribing form', 5000, async () => {
      const cached = await subscriber.getAllInstances(service);
      return cached.length === 1;
    });
  });
  await run('select_instances', async () => {
    const healthy = await subscriber.selectInstances(service);
    const sick = await subscriber.selectInstances(service, 'DEFAULT_GROUP', '', false, false);
    check(healthy.length === 1 && sick.length === 0, `healthy ${ports(healthy)}, unhealthy ${ports(sick)}`);
  });

  const seen = watch(subscriber, { serviceName: service });
  await run('subscribe_event', async () => {
    await eventually('the first callback', 5000, () => has(seen.hosts, port + 1));
    const ms = await told(seen, 'the second instance', () => publisher.registerInstance(service, instance(2)), hosts => has(hosts, port + 2));
    return { ms, detail: 'second instance, registered on another node' };
  });

  await ask('turn');
  await run('push_times', async () => {
    const taken = [];
    for (let round = 0; round < 10; round++) {
      await sleep(700);
      const number = 10 + Math.floor(round / 2);
      taken.push(
        round % 2 === 0
          ? await told(seen, 'a new instance', () => publisher.registerInstance(service, instance(number)), hosts => has(hosts, port + number))
          : await told(seen, 'a gone instance', () => publisher.deregisterInstance(service, instance(number)), hosts => !has(hosts, port + number))
      );
      check(taken[round] < 5000, `came by polling: ${taken.map(Math.round)}`);
    }
    return times(taken);
  });
  print({ ask: 'turn_over' });

  await run('update_seen', async () => {
    const changed = instance(2, { weight: 3.5, metadata: { zone: 'b' } });
    const ms = await told(seen, 'weight and metadata', () => publisher.registerInstance(service, changed), hosts =>
      hosts.some(host => host.port === port + 2 && host.weight === 3.5 && host.metadata.zone === 'b'));
    return { ms, detail: 'registered again with another weight and metadata' };
  });
  await run('server_status', async () => {
    const status = await subscriber.getServerStatus();
    check(status === 'UP', `status ${status}`);
  });
  await run('services_of_server', async () => {
    // The naming client hands this call on nowhere, but its proxy has it.
    const found = await third._serverProxy.getServiceList(1, 1000, 'DEFAULT_GROUP');
    check(found.data.includes(service) && found.count === found.data.length, JSON.stringify(found));
  });

  const group = `compat-group-${version}`;
  const grouped = Promise.resolve().then(() => groupStep(publisher, third, service, group));
  const killed = killedSteps(seen, service);

  const deregistered = run('deregister', async () => {
    const ms = await told(seen, 'the deregistered instance', () => publisher.deregisterInstance(service, instance(2)), hosts => !has(hosts, port + 2));
    const end = performance.now() + 12000;
    while (performance.now() < end) {
      for (const client of [publisher, third]) {
        const hosts = await client.getAllInstances(service, 'DEFAULT_GROUP', '', false);
        check(!has(hosts, port + 2), `back ${Math.round(12000 - (end - performance.now()))} ms after it left`);
      }
      await sleep(500);
    }
    return { ms, detail: 'gone at once, and for two beats after' };
  });
  await run('stays_alive', async () => {
    const end = performance.now() + 35000;
    while (performance.now() < end) {
      const hosts = await third.getAllInstances(service, 'DEFAULT_GROUP', '', false);
      check(hosts.some(host => host.port === port + 1 && host.healthy), `its beats do not hold it: ${JSON.stringify(hosts)}`);
      await sleep(1000);
    }
    check(!seen.shrunk.includes(port + 1), 'a callback left it out');
    return 'listed healthy for 35 s by its beats';
  });
  await Promise.all([grouped, killed, deregistered]);
}

/** 2.6.0 deregisters by the bare name, so in a group of one's own the instance leaves by its lease alone. */
function groupStep(publisher, third, service, group) {
  return run('deregister_in_group', async () => {
    await publisher.registerInstance(service, instance(3), group);
    const listed = async () => has(await third.getAllInstances(service, group, '', false), port + 3);
    // A list that is empty leaves this client's cache as it was, so another instance stays in it.
    await publisher.registerInstance(service, instance(4), group);
    await eventually('both listed', 5000, async () => (await listed()) && has(await third.getAllInstances(service, group, '', false), port + 4));
    const start = performance.now();
    await publisher.deregisterInstance(service, instance(3), group);
    await eventually('gone', 40000, async () => !(await listed()));
    const ms = performance.now() - start;
    if (version === '2.6.0') check(ms > 15000, `left after ${Math.round(ms)} ms, though this version asks for it in another group`);
    else check(ms < 5000, `left after ${Math.round(ms)} ms`);
    return { ms, detail: version === '2.6.0' ? 'asked in the wrong group, left by its lease' : 'left at once' };
  });
}

async function killedSteps(seen, service) {
  let child;
  let start;
  const unhealthy = await run('killed_client_unhealthy', async () => {
    child = await hold(service, 5);
    await eventually('the held instance', 5000, () => has(seen.hosts, port + 5));
    await sleep(11000); // this client's first beat may take 10 s
    child.removeAllListeners('exit');
    child.kill('SIGKILL');
    start = performance.now();
    await eventually('unhealthy', 25000, () => seen.hosts.some(host => host.port === port + 5 && host.healthy === false));
    return { ms: seen.at - start, detail: 'kill -9 of the client, to the callback' };
  });
  if (!unhealthy) return;
  await run('killed_client_removed', async () => {
    await eventually('removed', 40000, () => !has(seen.hosts, port + 5));
    const ms = seen.at - start;
    check(ms > 18000 && ms < 36000, `removed after ${Math.round(ms)} ms`);
    return { ms, detail: 'kill -9 of the client, to the callback' };
  });
}

async function failover() {
  const everywhere = await connect([...nodes]);
  const service = `compat-failover-node-${version}-${COMPAT_RUN}`;
  await everywhere.registerInstance(service, instance(50));
  await everywhere.registerInstance(service, instance(51));
  const listening = await connect([...nodes]);
  const seen = watch(listening, { serviceName: service });
  await eventually('both listed', 10000, () => has(seen.hosts, port + 50) && has(seen.hosts, port + 51));
  await sleep(6000);

  const dead = await ask('kill');
  const survivors = nodes.filter(node => node !== dead);
  const watchers = await Promise.all(survivors.map(node => connect([node])));
  const list = (client, subscribe) => client.getAllInstances(service, 'DEFAULT_GROUP', '', subscribe);

  const stays = run('failover_stays_listed', async () => {
    const end = performance.now() + 40000;
    while (performance.now() < end) {
      for (const [index, client] of watchers.entries()) {
        const hosts = await list(client, false);
        for (const wanted of [port + 50, port + 51]) {
          check(hosts.some(host => host.port === wanted && host.healthy), `${survivors[index]} lists ${JSON.stringify(hosts)}`);
        }
      }
      await sleep(1000);
    }
    check(!seen.shrunk.some(gone => gone === port + 50 || gone === port + 51), 'a callback left a living instance out');
    return 'on both survivors, healthy, for 40 s';
  });
  await run('failover_register', async () => {
    await everywhere.registerInstance(service, instance(52));
  });
  await run('failover_list', async () => {
    await eventually('the new instance', 10000, async () => has(await list(everywhere, false), port + 52));
  });
  await run('failover_event', async () => {
    const ms = await told(seen, 'an instance', () => everywhere.registerInstance(service, instance(53)), hosts => has(hosts, port + 53));
    return { ms, detail: 'change made with one node dead' };
  });
  await stays;
  await ask('restart');
  await run('failover_restarted_node', async () => {
    const back = await connect([dead]);
    await eventually('all four on the restarted node', 10000, async () => {
      const hosts = await list(back, false);
      return [50, 51, 52, 53].every(number => has(hosts, port + number));
    });
  });
}

/** Does what the runner says, for the scenario in which all clients share one service. */
async function mixed() {
  const client = await connect(nodes, 'public');
  const service = `compat-mixed-${COMPAT_RUN}`;
  for (;;) {
    const [verb, number, weight] = (await ask('next')).split(' ');
    try {
      if (verb === 'end') return;
      if (verb === 'register') await client.registerInstance(service, instance(Number(number), { weight: Number(weight) }));
      if (verb === 'deregister') await client.deregisterInstance(service, instance(Number(number)));
      const hosts = verb === 'list' ? await client.getAllInstances(service) : [];
      print({ done: verb, hosts: hosts.map(host => `${host.port}/${host.weight}/${host.healthy}`).sort() });
    } catch (error) {
      print({ done: verb, error: error.message });
    }
  }
}

/** By HTTPS; whom this process trusts, Node.js itself reads from NODE_EXTRA_CA_CERTS when it starts. */
async function tls() {
  const { COMPAT_TLS, COMPAT_TLS_OTHER_CA } = process.env;
  const secure = { ssl: true };
  const [publisher, subscriber] = [await connect(COMPAT_TLS.split(','), '', secure), await connect(COMPAT_TLS.split(','), '', secure)];
  const service = `compat-node-tls-${COMPAT_RUN}`;
  await run('tls_register', async () => {
    await publisher.registerInstance(service, instance(60));
  });
  await run('tls_list', async () => {
    await eventually('the instance', 5000, async () => has(await subscriber.getAllInstances(service, 'DEFAULT_GROUP', '', false), port + 60));
  });
  await run('tls_push', async () => {
    const seen = watch(subscriber, service);
    await eventually('the first callback', 5000, () => has(seen.hosts, port + 60));
    const ms = await told(seen, 'a second instance', () => publisher.registerInstance(service, instance(61)), hosts => has(hosts, port + 61));
    return { ms, detail: "publisher's call by HTTPS to subscriber's callback by UDP" };
  });
  await run('tls_refuses_unknown_ca', async () => {
    const foreign = { HOLD_NODE: COMPAT_TLS, HOLD_SERVICE: service, HOLD_PORT: String(port + 62), HOLD_TLS: 'yes', NODE_EXTRA_CA_CERTS: COMPAT_TLS_OTHER_CA };
    const child = spawn(process.execPath, [__filename, 'hold'], { env: { ...process.env, ...foreign }, stdio: ['pipe', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.on('data', data => { said += data; });
    const registered = await new Promise(resolve => {
      child.stdout.once('data', () => resolve(true));
      child.once('close', () => resolve(false));
    });
    child.kill('SIGKILL');
    check(!registered, 'it registers in spite of another authority');
    const why = said.match(/unable to verify[^\n,(]*|[^\n]*certificate[^\n,(]*/);
    check(why, `it fails for another reason: ${said}`);
    return why[0].trim();
  });
}

async function holdUntilKilled() {
  const client = await connect([process.env.HOLD_NODE], '', process.env.HOLD_TLS ? { ssl: true } : {});
  await client.registerInstance(process.env.HOLD_SERVICE, { ip, port: Number(process.env.HOLD_PORT) });
  process.stdout.write('holding\n');
  await sleep(120000);
}

const scenarios = { steps, failover, mixed, tls, hold: holdUntilKilled };
scenarios[process.argv[2]]().then(
  () => process.exit(0),
  error => {
    log(error);
    process.exit(1);
  }
);
