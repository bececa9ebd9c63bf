//! What the steps of a call take: time, and how often memory is asked for. `cargo bench -p muster-server --bench calls`.
//!
//! The parts are the real ones, of one whole node without doors; its disk and its network are in memory. What a call costs in
//! all, sockets included, `cargo xtask bench` measures.

#[allow(dead_code, reason = "tests use the rest")]
#[path = "../tests/cores/mod.rs"]
mod cores;

use cores::{NoClients, context, instance, service};
use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};
use muster_model::{Instance, Kind, MemberId, ServiceKey, ServiceSnapshot, Weight};
use muster_naming::Beat;
use muster_runtime::{Clock, Shutdown, Tasks};
use muster_server::core::{Core, World};
use muster_server::settings::Settings;
use muster_storage::testing::FaultyDisk;
use muster_transport::memory::Network;
use muster_wire::{Form, ListFilter, datagram, parse_beat, parse_instance, service_list};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::runtime::Runtime;

#[global_allocator]
static MEMORY: AllocProfiler = AllocProfiler::system();

/// Instances of the service that is called for.
const INSTANCES: u16 = 10;
/// Services that a node holds beside that.
const OTHERS: u16 = 1_000;
const WITHIN: Duration = Duration::from_secs(10);

/// As Java's 1.x client sends it.
const BEAT: &[u8] = b"app=unknown&serviceName=DEFAULT_GROUP%40%40called&namespaceId=public&port=80&ip=10.1.0.1&clusterName=DEFAULT&beat=%7B%22cluster%22%3A%22DEFAULT%22%2C%22ip%22%3A%2210.1.0.1%22%2C%22metadata%22%3A%7B%22zone%22%3A%22a%22%7D%2C%22period%22%3A5000%2C%22port%22%3A80%2C%22scheduled%22%3Afalse%2C%22serviceName%22%3A%22DEFAULT_GROUP%40%40called%22%2C%22stopped%22%3Afalse%2C%22weight%22%3A1.0%7D";
const REGISTRATION: &[u8] = b"app=unknown&metadata=%7B%22zone%22%3A%22a%22%7D&ip=10.1.0.1&weight=1.0&ephemeral=true&serviceName=DEFAULT_GROUP%40%40called&clusterName=DEFAULT&namespaceId=public&port=80&enable=true&healthy=true&groupName=DEFAULT_GROUP";
const ALL: ListFilter<'static> = ListFilter {
    clusters: "",
    healthy_only: false,
    cache_ms: 10_000,
    bare_names: false,
};

struct Node {
    core: Core,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let core = runtime.block_on(async {
            let disk = Arc::new(FaultyDisk::new(1).mount());
            let tasks = Tasks::new(Shutdown::new());
            let world = World {
                disk: disk.clone(),
                tables: disk,
                transport: Network::new().join(MemberId(1)),
                clock: Clock::system(),
                sink: Arc::new(NoClients),
                tasks: tasks.clone(),
                peer_tasks: tasks,
            };
            let settings = Settings {
                data_dir: folder.path().to_owned(),
                ..Settings::default()
            };
            let core = Core::start(&settings, world).await.expect("a node");
            core.loaded(WITHIN).await;
            core.open();
            core
        });
        let node = Self {
            core,
            runtime,
            _folder: folder,
        };
        for port in 80..80 + INSTANCES {
            node.register(&CALLED, ephemeral(port));
        }
        for number in 0..OTHERS {
            node.register(&service(&format!("other-{number}")), ephemeral(80));
        }
        node
    }

    fn register(&self, service: &ServiceKey, instance: Instance) {
        let context = context(WITHIN);
        let register = self.core.naming.register(&context, service, instance);
        self.runtime.block_on(register).expect("an instance");
    }

    fn snapshot(&self) -> Arc<ServiceSnapshot> {
        self.core.naming.snapshot(&CALLED)
    }
}

fn ephemeral(port: u16) -> Instance {
    instance(port, Kind::Ephemeral)
}

static NODE: LazyLock<Node> = LazyLock::new(Node::start);
static CALLED: LazyLock<ServiceKey> = LazyLock::new(|| service("called"));
static KEPT: LazyLock<ServiceKey> = LazyLock::new(|| service("kept"));

fn main() {
    LazyLock::force(&NODE);
    divan::main();
}

#[divan::bench]
fn read_beat(bencher: Bencher) {
    let read = || parse_beat(&Form::parse(black_box(BEAT), b"")).expect("a beat");
    bencher.counter(BytesCount::new(BEAT.len())).bench(read);
}

#[divan::bench]
fn read_registration(bencher: Bencher) {
    let read = || parse_instance(&Form::parse(black_box(REGISTRATION), b""), true).expect("an instance");
    bencher.counter(BytesCount::new(REGISTRATION.len())).bench(read);
}

#[divan::bench]
fn renew_by_beat(bencher: Bencher) {
    let key = ephemeral(80).key;
    bencher.bench(|| {
        let beat = Beat::Light(key.clone());
        NODE.core.naming.beat(&context(WITHIN), black_box(&CALLED), beat)
    });
}

#[divan::bench]
fn renew_by_registering(bencher: Bencher) {
    bencher
        .with_inputs(|| ephemeral(81))
        .bench_values(|same| NODE.register(&CALLED, same));
}

/// The change, the fold into the next list, and the list.
#[divan::bench]
fn change_and_list(bencher: Bencher) {
    let mut weight = 0;
    bencher
        .with_inputs(|| {
            weight = (weight + 1) % 1_000;
            Instance {
                weight: Weight::new(f64::from(weight)).expect("a weight"),
                ..ephemeral(82)
            }
        })
        .bench_local_values(|other| {
            NODE.register(&CALLED, other);
            NODE.snapshot()
        });
}

#[divan::bench]
fn find_list(bencher: Bencher) {
    bencher.bench(|| NODE.core.naming.snapshot(black_box(&CALLED)));
}

#[divan::bench]
fn render_list(bencher: Bencher) {
    let snapshot = NODE.snapshot();
    bencher.bench(|| service_list(black_box(&snapshot), &ALL));
}

#[divan::bench]
fn pack_datagram(bencher: Bencher) {
    let list = service_list(&NODE.snapshot(), &ALL);
    bencher
        .counter(BytesCount::new(list.len()))
        .bench(|| datagram(black_box(&list), 1));
}

#[divan::bench]
fn write_persistent(bencher: Bencher) {
    let mut port = 0;
    bencher
        .with_inputs(|| {
            port = port % 10_000 + 1;
            instance(port, Kind::Persistent)
        })
        .bench_local_values(|written| NODE.register(&KEPT, written));
}
