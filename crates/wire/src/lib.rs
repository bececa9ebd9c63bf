//! Nacos's forms, payloads and datagrams, and TryFrom between them and the model.

mod list;

pub use list::{ListFilter, grouped_name, instance_id, service_list, service_list_for_datagram};
