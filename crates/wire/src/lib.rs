//! Nacos's forms, payloads and datagrams, and `TryFrom` between them and the model.
//!
//! What clients write is read here once, as leniently as the real server reads it ([`Form`]) and no further: names become
//! the model's checked names, or a [`Refusal`] with the text that Nacos answers. What clients read is shaped here as well:
//! the list of a service ([`service_list`]) and everything else ([`answers`]). Nacos's own words (`group@@service`,
//! `ephemeral=True`, `enable`) end in this crate.
//!
//! Bytes that are not UTF-8 are read as U+FFFD, as Java reads them; no name may hold that character, so such a name is
//! refused, while free text (metadata) keeps it.

mod agent;
pub mod answers;
mod beat;
mod bound;
mod checker;
mod form;
pub mod grpc;
mod instance_form;
mod list;
mod loose;
mod metadata_form;
mod parameter;
mod protection;
mod refusal;
mod service_name;
mod udp;

pub use agent::{Agent, AgentFamily, DATAGRAM_BYTES_MAX};
pub use beat::{BeatForm, parse_beat, parse_beat_for};
pub use bound::{
    CLUSTER, CLUSTERS, ENABLED, EPHEMERAL, GROUP, GROUPED_SERVICE, HEALTHY, INSTANCE, IP, METADATA, NAMESPACE, PORT,
    SERVICE, WEIGHT, bound_cluster, bound_grouped_service, bound_instance, bound_key, bound_metadata, bound_namespace,
    bound_service, bound_weight,
};
pub use checker::parse_checker;
pub use form::Form;
pub use instance_form::{InstanceForm, cluster_of, host_of, parse_instance, port_of, weight_of};
pub use list::{ListFilter, grouped_name, host, instance_id, service_hosts, service_list, service_list_for_datagram};
pub use metadata_form::{BatchTarget, parse_batch_targets, parse_metadata};
pub use parameter::{Parameter, ParameterKind, ParameterPlace};
pub use protection::Protection;
pub use refusal::Refusal;
pub use service_name::{
    ServiceParam, check_cluster_filter, group_of, namespace_of, parse_grouped, service_of, service_of_parts,
};
pub use udp::{ACK_BYTES_MAX, datagram, parse_ack};
