//! What the callbacks of one subscription said, when, and which instances they left out for how long.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nacos_sdk::api::naming::{NamingChangeEvent, NamingEventListener, NamingService, ServiceInstance};

use crate::report::{eventually, text};

type Wanted = Box<dyn Fn(&[ServiceInstance]) -> bool + Send>;

#[derive(Default)]
struct Seen {
    hosts: Vec<ServiceInstance>,
    calls: usize,
    wanted: Option<Wanted>,
    told: Option<Instant>,
    /// Ports that a callback left out again: since when, and the longest time in ms that one stayed away.
    away: HashMap<i32, Instant>,
    longest: HashMap<i32, f64>,
}

#[derive(Default)]
pub struct Watch(Mutex<Seen>);

impl NamingEventListener for Watch {
    fn event(&self, event: Arc<NamingChangeEvent>) {
        let now = event.instances.clone().unwrap_or_default();
        let mut seen = self.lock();
        let instant = Instant::now();
        let gone: Vec<_> = seen
            .hosts
            .iter()
            .map(|host| host.port)
            .filter(|&port| !has(&now, port))
            .collect();
        for port in gone {
            seen.away.insert(port, instant);
        }
        for host in &now {
            if let Some(left) = seen.away.remove(&host.port) {
                let ms = instant.duration_since(left).as_secs_f64() * 1000.0;
                let longest = seen.longest.entry(host.port).or_default();
                *longest = longest.max(ms);
            }
        }
        seen.calls += 1;
        seen.hosts = now;
        if seen.wanted.as_ref().is_some_and(|wanted| wanted(&seen.hosts)) {
            seen.told = Some(instant);
            seen.wanted = None;
        }
    }
}

pub fn has(hosts: &[ServiceInstance], port: i32) -> bool {
    hosts.iter().any(|host| host.port == port)
}

impl Watch {
    pub async fn start(client: &NamingService, service: &str, group: &str) -> Result<Arc<Self>, String> {
        let watch = Arc::new(Self::default());
        client
            .subscribe(service.to_owned(), Some(group.to_owned()), Vec::new(), watch.clone())
            .await
            .map_err(text)?;
        Ok(watch)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn hosts(&self) -> Vec<ServiceInstance> {
        self.lock().hosts.clone()
    }

    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    /// From the call of `make` to the callback that `wanted` holds for, in milliseconds.
    pub async fn change(
        &self,
        what: &str,
        within_s: u64,
        make: impl Future<Output = Result<(), String>>,
        wanted: impl Fn(&[ServiceInstance]) -> bool + Send + 'static,
    ) -> Result<f64, String> {
        {
            let mut seen = self.lock();
            seen.told = None;
            seen.wanted = Some(Box::new(wanted));
        }
        let start = Instant::now();
        make.await?;
        let told = eventually(what, within_s, || async { self.lock().told }).await?;
        Ok(told.duration_since(start).as_secs_f64() * 1000.0)
    }

    pub async fn lists(&self, what: &str, within_s: u64, ports: &[i32]) -> Result<(), String> {
        eventually(what, within_s, || async {
            let hosts = self.hosts();
            ports.iter().all(|&port| has(&hosts, port)).then_some(())
        })
        .await
    }

    /// The longest time that callbacks left one of these out, in ms; up to now for one that is still away.
    pub fn absence(&self, ports: &[i32]) -> f64 {
        let seen = self.lock();
        let mut longest = 0.0_f64;
        for port in ports {
            longest = longest.max(seen.longest.get(port).copied().unwrap_or_default());
            if let Some(left) = seen.away.get(port) {
                longest = longest.max(left.elapsed().as_secs_f64() * 1000.0);
            }
        }
        longest
    }
}
