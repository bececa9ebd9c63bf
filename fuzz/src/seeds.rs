//! Where fuzzing begins: requests as real clients send them, and messages, commands and files as this version writes them.

use crate::input::{block_on, joined};
use crate::mutations::Noise;
use crate::targets::node::WALL_MS;
use muster_ephemeral::fuzzing::{Member, What, Write};
use muster_persistent::fuzzing::{Machine, samples};
use muster_wire::grpc::payload;
use prost::Message as _;

/// The seeds of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "form" => texts(FORMS),
        "http" => texts(CALLS),
        "grpc_frames" => requests().map(|(name, json)| framed(name, json)).collect(),
        "grpc_payload" => grpc_payloads(),
        "grpc_calls" => grpc_calls(),
        "list" => vec![
            vec![0; 64],
            b"\x04east\x01\0\x08service!\x7f\x01\x0810.0.0.1\x01P\0\x04east".to_vec(),
        ],
        "udp" => texts(ACKS),
        "raft_messages" => muster_consensus::fuzzing::samples()
            .into_iter()
            .map(|(kind, bytes)| [&[kind], &*bytes].concat())
            .collect(),
        "copies" => copies(),
        "ping" => vec![muster_membership::fuzzing::sample().to_vec()],
        "merge" => (0..4).map(|seed| noise(seed, 300)).collect(),
        "push" => (4..8).map(|seed| noise(seed, 300)).collect(),
        "commands" => vec![joined(&samples()), joined(&samples()[..1])],
        "state_stream" => vec![state_stream()],
        "checkpoint" => vec![checkpoint()],
        "log_tail" => vec![
            b"\x33\x20tail".to_vec(),
            b"\x5f\xff".to_vec(),
            b"\x10\0\0\0\0\0\0".to_vec(),
        ],
        "log_records" => log_records(),
        "snapshot_file" => vec![
            b"\0\0\0\x04notebody of the snapshot".to_vec(),
            b"\0\x01\0\x04notebody".to_vec(),
            b"MUSTSNP1".to_vec(),
        ],
        "identity" => vec![b"MUSTERID\x01\x07\0\0\0\0\0\0\0\x63\0\0\0\0\0\0\0\x01crc!".to_vec()],
        "warm_copy" => vec![
            [&[0], &*joined(&batches())].concat(),
            b"MUSTERW1\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
        ],
        "settings" => texts(SETTINGS),
        _ => Vec::new(),
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Bytes that look like nothing, the same each time.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    (0..bytes).map(|_| noise.byte()).collect()
}

const FORMS: &[&str] = &[
    "serviceName=DEFAULT_GROUP%40%40orders&groupName=DEFAULT_GROUP&namespaceId=public&ip=10.0.0.1&port=8080&clusterName=DEFAULT&weight=1.0&enable=true&healthy=true&ephemeral=true&metadata=%7B%22zone%22%3A%22a%22%7D\n",
    "?&app=unknown&serviceName=s&\nip=10.0.0.1&port=80&weight=0.5&enabled=on&metadata=k1=v1,k2=v2&cluster=east&groupName=g",
    "serviceName=g@@s&namespaceId=prod&beat=%7B%22cluster%22%3A%22DEFAULT%22%2C%22ip%22%3A%2210.0.0.1%22%2C%22metadata%22%3A%7B%7D%2C%22period%22%3A5000%2C%22port%22%3A%228080%22%2C%22scheduled%22%3Afalse%2C%22serviceName%22%3A%22g%40%40s%22%2C%22weight%22%3A1.0%7D\n",
    "serviceName=s&ip=10.0.0.1&port=80&healthyOnly=true&clusters=a,b&udpPort=5555\n[{\"ip\":\"10.0.0.1\",\"port\":\"80\",\"ephemeral\":\"true\"}]",
    "a=1\n{\"type\":\"HTTP\",\"path\":\"/up\",\"headers\":\"a:b\",\"expectedResponseCode\":200}",
];

const CALLS: &[&str] = &[
    "POST /v1/ns/instance?serviceName=g%40%40s&ip=10.0.0.1&port=80&ephemeral=true\nNacos-Java-Client:v1.4.6\n\0GET /v1/ns/instance/list?serviceName=g%40%40s&udpPort=5555&clientIP=10.0.0.5&healthyOnly=true\nNacos-Java-Client:v1.4.6\n\0DELETE /v1/ns/instance?serviceName=g%40%40s&ip=10.0.0.1&port=80\n\n",
    "PUT /v1/ns/instance/beat?serviceName=g%40%40s&beat=%7B%22ip%22%3A%2210.0.0.1%22%2C%22port%22%3A80%2C%22weight%22%3A1%7D\nNacos-Go-Client:v1.0.1\n\0PUT /v1/ns/instance\n\nserviceName=g@@s&ip=10.0.0.1&port=80&weight=3&metadata={\"a\":\"b\"}\0GET /v1/ns/service/list?pageNo=1&pageSize=10\n\n",
    "POST /v2/ns/instance\n\nserviceName=s&ip=10.0.0.1&port=80&ephemeral=false\0GET /v2/ns/instance/list?serviceName=s\n\n\0PUT /v2/ns/instance/metadata/batch\n\nserviceName=g@@s&instances=[{\"ip\":\"10.0.0.1\",\"port\":\"80\"}]&metadata={\"a\":\"b\"}&consistencyType=persist",
    "POST /v3/admin/ns/service\n\nserviceName=s&protectThreshold=0.5&metadata={\"a\":\"b\"}\0PUT /v3/admin/ns/cluster\n\nserviceName=s&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true&healthChecker={\"type\":\"TCP\"}\0GET /v3/admin/ns/service/list?pageNo=1&pageSize=10\n\n\0DELETE /v3/admin/ns/service?serviceName=s\n\n",
    "PUT /v1/ns/operator/switches?entry=healthCheckEnabled&value=false\n\n\0GET /v1/ns/operator/switches\n\n\0GET /v1/ns/operator/metrics\n\n\0GET /v3/client/ns/instance/list?serviceName=s\n\n",
    "GET /v1/ns/catalog/services?withInstances=true&pageNo=1&pageSize=10\n\n\0GET /v1/ns/catalog/instances?serviceName=g@@s&pageNo=1&pageSize=10&clusterName=DEFAULT\n\n\0GET /v2/ns/client/list\n\n\0GET /v1/console/namespaces\n\n",
    "!GET /nacos/v1/ns/operator/metrics HTTP/1.1\r\nhost: a\r\n\r\nPOST /nacos/v1/ns/instance HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nip=10\r\n0\r\n\r\n",
];

const ACKS: &[&str] = &[
    r#"{"type": "push-ack", "lastRefTime":"1595123456789000", "data":""}"#,
    r#"{"type":"push-ack","lastRefTime":1595123456789000,"data":null}"#,
    r#"{"type":"dom","data":"{}","lastRefTime":7}"#,
    "Nacos-Java-Client:v1.4.6\nNacos-Java-Client:v1.4.6",
    "Nacos-Go-Client:v1.0.1-SNAPSHOT\n",
    "\u{1f}\u{8b}",
];

const SETTINGS: &[&str] = &[
    "id = 2\ncluster_name = \"blue\"\ndata_dir = \"/var/lib/muster\"\nlisten = \"0.0.0.0:8848\"\nmembers = [\"1@10.0.0.1:8848\", \"2@10.0.0.2:8848/9000\"]\nforce_open = false\n\n[http]\nprefix = \"/nacos\"\nbody_bytes_max = 1048576\n\n[raft]\nsync = \"always\"\nheartbeat_ms = 100\n",
    "[udp]\nallowed = [\"10.0.0.0/8\", \"::1/128\"]\n\n[log]\nformat = \"json\"\nfilter = \"info\"\n\0MUSTER_HTTP__PREFIX=/other\nMUSTER_ID=3\nMUSTER_MEMBERS=1@a:1,2@b:2\nRUST_LOG=debug",
    "[tls]\nmode = \"off\"\n[grpc]\nconnections_max = 5\n[push]\n[naming]\n[shutdown]\n[ephemeral]\n[membership]\n[persistent]\n",
];

/// Every request of naming, and what other parts of Nacos are asked over the same port.
fn requests() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        ("ServerCheckRequest", r#"{"headers":{},"module":"internal"}"#),
        ("HealthCheckRequest", r#"{"headers":{},"module":"internal"}"#),
        (
            "ConnectionSetupRequest",
            r#"{"headers":{},"clientVersion":"Nacos-Java-Client:v2.4.3","tenant":"public","labels":{"source":"sdk","module":"naming","AppName":"orders"},"abilityTable":{"supportPersistentInstanceByGrpc":true},"module":"internal"}"#,
        ),
        (
            "InstanceRequest",
            r#"{"headers":{"app":"unknown"},"namespace":"public","serviceName":"s","groupName":"g","type":"registerInstance","instance":{"ip":"10.0.0.1","port":8080,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","serviceName":"g@@s","metadata":{"zone":"a"},"instanceHeartBeatInterval":5000},"module":"naming"}"#,
        ),
        (
            "InstanceRequest",
            r#"{"namespace":"public","serviceName":"s","groupName":"g","type":"deregisterInstance","instance":{"ip":"10.0.0.1","port":8080,"weight":0,"healthy":false}}"#,
        ),
        (
            "BatchInstanceRequest",
            r#"{"namespace":"public","serviceName":"s","groupName":"g","type":"batchRegisterInstance","instances":[{"ip":"10.0.0.1","port":80},{"ip":"10.0.0.2","port":"80","weight":"0.5"}]}"#,
        ),
        (
            "PersistentInstanceRequest",
            r#"{"namespace":"","serviceName":"s","type":"registerInstance","instance":{"ip":"10.0.0.3","port":80,"ephemeral":false}}"#,
        ),
        (
            "ServiceQueryRequest",
            r#"{"namespace":"public","serviceName":"s","groupName":"g","cluster":"DEFAULT","healthyOnly":false,"udpPort":0}"#,
        ),
        (
            "SubscribeServiceRequest",
            r#"{"namespace":"public","serviceName":"s","groupName":"g","clusters":"","subscribe":true}"#,
        ),
        (
            "ServiceListRequest",
            r#"{"namespace":"public","groupName":"g","pageNo":1,"pageSize":10,"selector":null}"#,
        ),
        (
            "NamingFuzzyWatchRequest",
            r#"{"groupKeyPattern":"public>>g>>*","receivedGroupKeys":["public@@g@@s"],"watchType":"WATCH","initializing":true,"namespace":"public"}"#,
        ),
        ("ConfigQueryRequest", r#"{"dataId":"a","group":"g","tenant":""}"#),
        ("", r#"{"resultCode":200,"errorCode":0,"message":"Response ok","requestId":"1"}"#),
    ]
    .into_iter()
}

fn encoded(name: &str, json: &str) -> Vec<u8> {
    payload(name, json.as_bytes().to_vec().into()).encode_to_vec()
}

fn grpc_payloads() -> Vec<Vec<u8>> {
    requests().map(|(name, json)| encoded(name, json)).collect()
}

fn framed(name: &str, json: &str) -> Vec<u8> {
    let payload = encoded(name, json);
    let length = (payload.len() as u32).to_be_bytes();
    [&[255, 7, 0], &length[..], &payload].concat()
}

fn grpc_calls() -> Vec<Vec<u8>> {
    let calls = requests().filter(|(name, _)| *name != "ConnectionSetupRequest");
    let calls: Vec<_> = calls.map(|(name, json)| format!("{name}\n{json}")).collect();
    let setup = requests().nth(2).map_or("", |(_, json)| json);
    let mut seeds = vec![format!("{setup}\0{}", calls.join("\0")).into_bytes()];
    seeds.extend(calls.iter().map(|call| format!("{setup}\0{call}").into_bytes()));
    seeds
}

/// What a member says that was written to in every way.
fn batches() -> Vec<bytes::Bytes> {
    block_on(async {
        let member = Member::new(WALL_MS);
        let listed = |held_by| What::Listed {
            weight: 2,
            healthy: true,
            held_by,
            by_silence: false,
        };
        let released = What::Released {
            claim_at_ms: 1,
            claim_origin: 2,
        };
        let writes = [listed(0), listed(3), What::Deregistered, What::Expired, released];
        for (port, what) in (1..).zip(writes) {
            member.merge(&Write {
                port,
                at_ms: 5,
                origin: 3,
                what,
            });
        }
        member.batches()
    })
}

fn copies() -> Vec<Vec<u8>> {
    let batch = batches().swap_remove(0);
    let call = |route: u8, body: &[u8]| [&[route], body].concat();
    // Beats of two hashes, a digest's first question, a fetch of one hash, the first chunk.
    let seen = call(1, b"\x0a\x10aaaaaaaabbbbbbbb\x12\x02\x05\x06");
    let digest = call(2, b"\x08\x01\x11\0\0\0\0\0\0\0\0");
    let fetch = call(3, b"\x0a\x08aaaaaaaa");
    vec![
        joined(&[
            call(0, &batch),
            seen.clone(),
            digest.clone(),
            fetch.clone(),
            call(4, b""),
        ]),
        joined(&[call(0, &batch)]),
        joined(&[seen]),
        joined(&[digest, fetch]),
    ]
}

fn state_stream() -> Vec<u8> {
    let mut machine = Machine::default();
    machine.apply(&samples()[..6]);
    let snapshot = machine.snapshot();
    // Frames again, without what the target puts around them.
    let mut frames = Vec::new();
    let mut rest = &snapshot[10..];
    while let Some((head, after)) = rest.split_first_chunk::<9>() {
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if head[0] != 255 {
            frames.push([&head[..1], &after[..length]].concat());
        }
        rest = &after[length..];
    }
    [&[0], &*joined(&frames)].concat()
}

fn checkpoint() -> Vec<u8> {
    let mut machine = Machine::default();
    machine.apply(&samples()[..6]);
    let (records, seal) = machine.checkpoint().expect("something was applied");
    let pieces = records.into_iter().flat_map(|(key, value)| [key, value]);
    joined(&std::iter::once(seal).chain(pieces).collect::<Vec<_>>())
}

/// Batches, entries, votes, truncations, purges and commits in one segment and in two.
fn log_records() -> Vec<Vec<u8>> {
    let records = b"\x01\0\x03\x01\x01\x01\x02\x01\x01\0\x02\x01\x01\x01\x04\x01\0\x05\x01\x01\0\x06\x01\x01\x01";
    let segment = [&[0], &records[..]].concat();
    vec![
        joined(std::slice::from_ref(&segment)),
        joined(&[segment.clone(), segment]),
    ]
}
