//! The vocabulary of the product as plain values.
//!
//! Keys ([`ServiceKey`], [`InstanceKey`]), what they name ([`Instance`], [`ServiceSettings`]), what is handed to readers
//! and subscribers ([`ServiceSnapshot`]) and what a change carries ([`Trace`]). Everything here is parsed: a value that
//! exists is a value that holds its rules, so the inside never asks again.
//!
//! Nothing here reads a clock, does I/O or is serializable: clients speak through `wire`, peers and disks through the
//! crate that speaks or replays (style: three formats, three owners).

mod change;
mod connection;
mod edit;
mod instance;
mod member;
mod metadata;
mod names;
mod service;
mod snapshot;
mod timings;

pub use change::{ChangeId, ChangeSink, Stamp, Trace};
pub use connection::ConnectionId;
pub use edit::{InstanceEdit, MetadataEdit};
pub use instance::{ClientId, Host, Instance, InstanceKey, Kind, Weight, WeightError};
pub use member::{Member, MemberId, Principal};
pub use metadata::Metadata;
pub use names::{ClusterName, GroupName, NameError, NameField, NameProblem, NamespaceId, ServiceKey, ServiceName};
pub use service::{ClusterSettings, HealthChecker, ServiceSettings};
pub use snapshot::{RenderKey, Renders, ServiceSnapshot};
pub use timings::{BeatTimings, TimingsError};
