//! Three nodes found one group, whichever comes first.

use muster_testkit::{Spec, cluster_staggered};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn founders_that_start_apart_found_one_group_and_none_is_readmitted() {
    for delays_ms in [
        [0, 0, 0],
        [0, 150, 300],
        [500, 0, 250],
        [0, 500, 0],
        [500, 500, 0],
        [0, 50, 500],
    ] {
        let cluster = cluster_staggered(&delays_ms.map(Duration::from_millis)).await.unwrap();
        let leader = cluster.leader(SOON).await.unwrap();
        let mut terms = Vec::new();
        for id in cluster.ids() {
            let status = cluster.status(id).await.unwrap();
            terms.push(status["term"].as_u64().unwrap());
            let members = status["members"].as_array().unwrap();
            let voters = members.iter().filter(|member| member["voter"] == true).count();
            assert_eq!(voters, 3, "{delays_ms:?}: {status}");
            let log = cluster.node(id).log();
            for sign in ["taken in again", "not taken in yet"] {
                assert!(!log.contains(sign), "{delays_ms:?}: node {id}: {sign}:\n{log}");
            }
        }
        assert!(terms[0] >= 1 && terms.iter().all(|term| *term == terms[0]), "{terms:?}");
        eprintln!(
            "started after {delays_ms:?} ms: node {leader} leads in term {}",
            terms[0]
        );
        // and it is one group: each takes a write that all show
        for id in cluster.ids() {
            let spec = Spec::persistent("p", "10.2.0.1", id as u16);
            cluster.v1(id).register(&spec).await.unwrap().ok().unwrap();
        }
        cluster.converged(SOON).await.unwrap();
        for id in cluster.ids() {
            assert_eq!(cluster.v1(id).list("p").await.unwrap().all.len(), 3);
        }
    }
}
