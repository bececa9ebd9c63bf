//! Keeping an ephemeral instance registered.

use crate::naming::{INSTANCE, naming_an_instance};
use crate::servers::Repeat;
use crate::{Client, Error};
use hyper::Method;
use muster_model::{Instance, ServiceKey};
use serde::Deserialize;
use std::future::Future;
use std::time::Duration;

/// How long after a failed beat the next is tried: several fit into the 15 s after which the instance is unhealthy.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Nacos's interval, until the server says another.
const STANDARD_INTERVAL: Duration = Duration::from_secs(5);
/// What the server answers to a beat of an instance it does not know (`NamingResponseCode.RESOURCE_NOT_FOUND`).
const UNKNOWN_INSTANCE: u32 = 20404;

/// What happened while an instance was kept registered.
#[derive(Debug)]
pub enum BeatEvent {
    /// The instance is registered; beats begin.
    Registered,
    /// The server did not know the instance any more; it is registered again.
    RegisteredAgain,
    /// A beat failed; it is tried again soon.
    Failed(Error),
    /// Beats are answered again.
    Recovered,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeatJson {
    code: u32,
    #[serde(default)]
    client_beat_interval: u64,
}

impl Client {
    /// Registers an ephemeral instance, beats until `until` resolves, then deregisters it.
    ///
    /// # Errors
    /// Of the registration and of the deregistration; what goes wrong between is told to `on_event` and repaired.
    pub async fn keep_registered(
        &self,
        service: &ServiceKey,
        instance: &Instance,
        mut on_event: impl FnMut(BeatEvent),
        until: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        self.register(service, instance).await?;
        on_event(BeatEvent::Registered);
        tokio::select! {
            () = until => {}
            () = self.beat_for_ever(service, instance, &mut on_event) => {}
        }
        self.deregister(service, &instance.key, instance.kind).await
    }

    async fn beat_for_ever(&self, service: &ServiceKey, instance: &Instance, on_event: &mut impl FnMut(BeatEvent)) {
        let mut wait = STANDARD_INTERVAL.min(instance.timings().interval);
        let mut failing = false;
        loop {
            tokio::time::sleep(wait).await;
            match self.beat(service, instance).await {
                Ok((known, interval)) => {
                    if std::mem::take(&mut failing) {
                        on_event(BeatEvent::Recovered);
                    }
                    if !known {
                        on_event(BeatEvent::RegisteredAgain);
                    }
                    wait = interval;
                }
                Err(error) => {
                    failing = true;
                    on_event(BeatEvent::Failed(error));
                    wait = AFTER_FAILURE;
                }
            }
        }
    }

    /// One light beat; registers again if the instance is unknown. Says whether it was known and when to beat next.
    async fn beat(&self, service: &ServiceKey, instance: &Instance) -> Result<(bool, Duration), Error> {
        let mut parameters = naming_an_instance(service, &instance.key, instance.kind);
        parameters.push(("clusterName", instance.cluster.to_string()));
        let path = format!("{INSTANCE}/beat");
        let answer = self.call(Method::PUT, &path, &parameters, Repeat::Harmless).await?;
        let beat: BeatJson = answer.json()?;
        let known = beat.code != UNKNOWN_INSTANCE;
        if !known {
            self.register(service, instance).await?;
        }
        let interval = match beat.client_beat_interval {
            0 => STANDARD_INTERVAL,
            ms => Duration::from_millis(ms),
        };
        Ok((known, interval))
    }
}
