//! Persistent registrations under load, and the memory of what was acknowledged.

use crate::http::Http;
use crate::v1::{Spec, V1};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// Between two tries after a node gave no answer or an error.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Record {
    acknowledged: BTreeSet<String>,
    refused: usize,
    last_refusal: String,
}

/// Registers one persistent instance after another, each new, at all nodes in turn, from several tasks. What was answered
/// `ok` is remembered.
pub struct Writer {
    service: String,
    record: Arc<Mutex<Record>>,
    tasks: JoinSet<()>,
}

impl Writer {
    /// Starts `tasks` writers, each with at most one request under way.
    pub fn start(http: &Http, addresses: &[String], service: &str, tasks: u8) -> Self {
        let nodes: Arc<[V1]> = addresses.iter().map(|it| V1::new(http.clone(), it.clone())).collect();
        let record = Arc::new(Mutex::new(Record::default()));
        let mut running = JoinSet::new();
        for task in 0..tasks {
            running.spawn(write(nodes.clone(), task, service.to_owned(), record.clone()));
        }
        Self {
            service: service.to_owned(),
            record,
            tasks: running,
        }
    }

    pub fn service(&self) -> &str {
        &self.service
    }

    /// How many were acknowledged so far.
    pub fn acknowledged_count(&self) -> usize {
        self.record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .acknowledged
            .len()
    }

    /// Ends the load; answers what was acknowledged, how many were not, and the last refusal.
    pub async fn stop(mut self) -> (BTreeSet<String>, usize, String) {
        self.tasks.shutdown().await;
        let record = std::mem::take(&mut *self.record.lock().unwrap_or_else(PoisonError::into_inner));
        (record.acknowledged, record.refused, record.last_refusal)
    }
}

async fn write(nodes: Arc<[V1]>, task: u8, service: String, record: Arc<Mutex<Record>>) {
    for number in 0_u32.. {
        let [_, high, middle, low] = number.to_be_bytes();
        let spec = Spec::persistent(&service, &format!("10.{task}.{high}.{middle}"), u16::from(low) + 1);
        let node = (number as usize + usize::from(task)) % nodes.len();
        let refusal = match nodes[node].register(&spec).await {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(format!("{}: {}", answer.status, answer.body)),
            Err(error) => Some(format!("{error:#}")),
        };
        let failed = refusal.is_some();
        {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            match refusal {
                None => drop(record.acknowledged.insert(spec.address())),
                Some(refusal) => {
                    record.refused += 1;
                    record.last_refusal = refusal;
                }
            }
        }
        if failed {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}
