//! The targets, by where their bytes come from.

pub(crate) mod disk;
pub(crate) mod forms;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod lists;
pub(crate) mod node;
pub(crate) mod peers;
pub(crate) mod settings;
pub(crate) mod state;
pub(crate) mod stores;
pub(crate) mod udp;
