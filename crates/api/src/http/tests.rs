//! The dialect over a real loopback socket, in front of stores in memory.

mod admin;
mod bad_input;
mod beats;
mod connections;
mod consoles;
mod instances;
mod lists;
mod operators;
mod rig;
mod sdk_shapes;
mod services;
mod subscribers;
mod tls;
