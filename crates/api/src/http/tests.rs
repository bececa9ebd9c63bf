//! The dialect over a real loopback socket, in front of stores in memory.

mod admin;
mod bad_input;
mod beats;
mod clients;
mod connections;
mod consoles;
mod endpoints;
mod instances;
mod lists;
mod operators;
pub(super) mod rig;
mod sdk_shapes;
mod services;
mod subscribers;
mod tls;
mod v2_bad_input;
mod v2_instances;
mod v2_operators;
mod v2_services;
mod v3_admin;
mod v3_light;
