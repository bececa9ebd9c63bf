//! One node as a process of its own, behind TLS.

mod papers;
mod process;
mod settings;
mod tls;
