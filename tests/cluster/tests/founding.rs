//! Three nodes found one group, whichever comes first.

use anyhow::{Context, ensure};
use muster_testkit::{Spec, cluster_staggered, eventually};
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
        // They are asked one after the other, and between two of them there may be an election.
        let agreed = eventually(SOON, "one leader and term of three voters", || async {
            let leader = cluster.leader(Duration::ZERO).await?;
            let mut terms = Vec::new();
            for id in cluster.ids() {
                let status = cluster.status(id).await?;
                ensure!(status["leader"].as_u64() == Some(leader), "not {leader}: {status}");
                terms.push(status["term"].as_u64().context("no term")?);
                let members = status["members"].as_array().context("no members")?;
                let voters = members.iter().filter(|member| member["voter"] == true).count();
                ensure!(voters == 3, "{status}");
            }
            ensure!(terms[0] >= 1 && terms.iter().all(|term| *term == terms[0]), "{terms:?}");
            Ok((leader, terms[0]))
        });
        let (leader, term) = agreed.await.unwrap_or_else(|error| panic!("{delays_ms:?}: {error:#}"));
        for id in cluster.ids() {
            let log = cluster.node(id).log();
            for sign in ["taken in again", "not taken in yet"] {
                assert!(!log.contains(sign), "{delays_ms:?}: node {id}: {sign}:\n{log}");
            }
        }
        eprintln!("started after {delays_ms:?} ms: node {leader} leads in term {term}");
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
