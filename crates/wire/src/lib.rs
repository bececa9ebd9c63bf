//! Nacos's forms, payloads and datagrams, and TryFrom between them and the model.

mod agent;
mod list;
mod udp;

pub use agent::{Agent, AgentFamily, DATAGRAM_BYTES_MAX};
pub use list::{ListFilter, grouped_name, instance_id, service_list, service_list_for_datagram};
pub use udp::{ACK_BYTES_MAX, datagram, parse_ack};
