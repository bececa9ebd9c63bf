//! Beats: the hot path.

use crate::metrics::REQUESTS;
use crate::{Context, Error, Naming};
use muster_ephemeral as ephemeral;
use muster_model::{BeatTimings, Instance, InstanceKey, Kind, Metadata, ServiceKey};
use std::time::Duration;

/// What a beat brings.
#[derive(Clone, Debug)]
pub enum Beat {
    /// Names the instance only.
    Light(InstanceKey),
    /// Carries the instance, which is registered if nobody knows it.
    Full(Box<Instance>),
}

/// What a beat is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BeatAnswer {
    Renewed {
        interval: Duration,
    },
    /// A light beat of an unknown instance: the client is to register again.
    Unknown {
        interval: Duration,
    },
}

/// The interval that the instance asks for in words of its own.
fn own_interval(metadata: &Metadata) -> Option<Duration> {
    let own = metadata.get("preserved.heart.beat.interval")?;
    // One that is not all digits counts as absent (`BeatTimings`).
    (!own.is_empty() && own.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| {
            BeatTimings::from_metadata(metadata)
                .map(|timings| timings.interval)
                .ok()
        })
        .flatten()
}

impl Naming {
    /// Takes a beat. The hot path: no await, no lock held, no allocation for a known instance.
    ///
    /// A beat for a persistent instance is answered well and refreshes nothing, as in Nacos 1.4 (reference T-44); of one
    /// that is unknown it is answered [`BeatAnswer::Unknown`], because a beat never writes to the log.
    ///
    /// # Errors
    /// Those of registering, for a full beat of an unknown instance.
    pub fn beat(&self, _context: &Context, service: &ServiceKey, beat: Beat) -> Result<BeatAnswer, Error> {
        let answer = match beat {
            Beat::Light(key) => Ok(self.light(service, &key)),
            Beat::Full(instance) if instance.kind == Kind::Persistent => {
                Ok(self.beat_persistent(service, &instance.key))
            }
            Beat::Full(instance) => self.full(service, *instance),
        };
        REQUESTS.beat.count(&answer);
        answer
    }

    fn light(&self, service: &ServiceKey, key: &InstanceKey) -> BeatAnswer {
        match self.stores().ephemeral.beat(service, key) {
            ephemeral::Beat::Renewed { interval } => self.renewed(service, key, interval),
            ephemeral::Beat::JustDeregistered => BeatAnswer::Renewed {
                interval: self.default_interval(),
            },
            ephemeral::Beat::Unknown => self.beat_persistent(service, key),
        }
    }

    fn full(&self, service: &ServiceKey, instance: Instance) -> Result<BeatAnswer, Error> {
        match self.stores().ephemeral.beat(service, &instance.key) {
            ephemeral::Beat::Renewed { interval } => Ok(self.renewed(service, &instance.key, interval)),
            ephemeral::Beat::JustDeregistered => Ok(BeatAnswer::Renewed {
                interval: own_interval(&instance.metadata).unwrap_or_else(|| self.default_interval()),
            }),
            ephemeral::Beat::Unknown => {
                let interval = own_interval(&instance.metadata).unwrap_or_else(|| self.default_interval());
                self.register_ephemeral(service, instance)?;
                Ok(BeatAnswer::Renewed { interval })
            }
        }
    }

    fn beat_persistent(&self, service: &ServiceKey, key: &InstanceKey) -> BeatAnswer {
        let interval = self.default_interval();
        let record = self.stores().persistent.service(service);
        if record.is_some_and(|record| record.instances.contains_key(key)) {
            BeatAnswer::Renewed { interval }
        } else {
            BeatAnswer::Unknown { interval }
        }
    }

    /// The store answers the instance's own interval or the built-in default. Only where the switch says something else
    /// than that default does it matter which of the two it was.
    fn renewed(&self, service: &ServiceKey, key: &InstanceKey, interval: Duration) -> BeatAnswer {
        let switched = self.default_interval();
        let built_in = BeatTimings::default().interval;
        let own = interval != built_in || switched == built_in || {
            let listed = self.stores().ephemeral.instance(service, key);
            listed.is_some_and(|listed| own_interval(&listed.metadata).is_some())
        };
        BeatAnswer::Renewed {
            interval: if own { interval } else { switched },
        }
    }

    fn default_interval(&self) -> Duration {
        self.board().beat_interval()
    }
}
