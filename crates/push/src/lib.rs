//! Telling subscribers: who they are, when they are told, what an ack means, when to try again.
//!
//! Newest wins: one delivery in flight per subscription; a change meanwhile marks it dirty, and every try carries the
//! newest snapshot. Nothing queues snapshots, so memory is bounded by subscriptions (reference 1.14). How a snapshot
//! becomes bytes and reaches an address is the [`Sink`]'s affair, which `api` implements.
//!
//! - A change finds the shards that hold subscribers of its service and wakes their workers. A service that was quiet is
//!   pushed at once; under a storm changes merge for 10 to 500 ms.
//! - Subscriptions are sharded by host, those of connections by connection. A shard is an engine (rules, no clock, no I/O)
//!   and a worker that asks it what is due, fetches the newest lists, hands tries to the sink and reports back.
//! - An unanswered datagram is tried again after 1, 3 and 10 s. After three unanswered in a row, of a subscription or of
//!   its address, the client is told to poll sooner, and each poll is worth one more try until an ack comes.
//! - An address that has never acked gets two datagrams per poll and no more, for its poll may be forged; and two
//!   unanswered ones suffice.
//! - A network that doubles and reorders may bring an old datagram after a newer one, and Java 1.x applies whatever comes:
//!   the ack of one that was answered or overtaken before has the newest list sent again.
//! - A connection has one subscription per service, which lives as long as it does and is pushed once when it is new, a
//!   few milliseconds after its answer. It asked over the very stream, so that nothing is owed to suspicion; but a client
//!   that leaves three tries of a list unanswered, 5 s each, gets that list no more, and of later changes one try each, at
//!   waits that grow from 1 to 30 s, until it acks.
//! - A connection's queue that is full is tried again after 20 ms, doubling to 1 s; one that is gone ends its subscription.
//!
//! Left to others: which lists are equal (`naming` gives an unchanged list no new revision), what fits (the sink says).

mod address;
mod config;
mod delivery;
mod door;
mod engine;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod metrics;
mod pace;
mod shard;
mod subscription;
mod target;
mod token;

pub use config::Config;
pub use delivery::{Delivery, Handed, Sink, Snapshots};
pub use door::Push;
pub use subscription::{Counts, Listed, Subscribed, SubscriptionInfo, SubscriptionKey};
pub use target::Target;
