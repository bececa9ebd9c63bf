//! One node as a process of its own.

mod memory;
mod papers;
mod process;
mod settings;
mod tls;
