//! Settings: one typed tree; defaults < file < environment < flags.
//!
//! [`Settings`] is the tree as a person writes it, [`Layers`] reads it from all its sources and names the source of what is
//! wrong, [`Settings::check`] holds keys against each other, and `parts` turns it into the crates' own configurations.

mod check;
mod layers;
mod member_list;
mod parts;
mod print;
mod section;
mod tls;
mod tree;

pub use check::Problem;
pub use layers::{Layers, LoadError};
pub(crate) use member_list::GRPC_PORT_OFFSET;
pub use member_list::{MemberList, MemberListError};
pub use print::{config_page, print_effective};
pub use tls::{TlsMode, TlsSettings};
pub use tree::{
    EphemeralSettings, GrpcSettings, HttpSettings, LogFormat, LogSettings, MembershipSettings, NamingSettings,
    PersistentSettings, PushSettings, RaftSettings, RaftSync, Settings, ShutdownSettings, UdpSettings,
};
