//! A whole cluster in one thread, from one seed.
//!
//! The product's own consensus, replicated state, ephemeral store, membership, naming and push run here as several nodes,
//! each with a runtime of its own whose time stands still but for the world's turns; disks, network, clients and clocks
//! are simulated, and everything that could happen by chance follows the seed. A seed that finds something finds it again.
//!
//! - [`world`]: time, the order of all things, nodes, which world (mix of faults and clients) a seed makes;
//! - [`network`]: links and what is on its way over them;
//! - [`doors`]: what HTTP, gRPC and UDP are to a real node;
//! - [`clients`]: publishers, connections, subscribers, writers, an operator;
//! - [`nemesis`] brings the faults;
//! - [`facts`] and [`invariants`]: what truly happened, and what must hold.
//!
//! `README.md` says how far this goes and what it has found.

pub mod clients;
pub mod doors;
pub mod facts;
pub mod invariants;
pub mod names;
pub mod nemesis;
pub mod network;
pub mod random;
pub mod requests;
pub mod trace;
pub mod world;
