//! What a node holds that has nothing to do.

use crate::process::Process;

/// Of what a libc, a runtime and two stores need, three times as much; tables or counters of a library that come back are ten
/// times as much (ADR 009).
const OWN_KIB_MAX: u64 = 16 << 10;

/// The pages of the program's file are not counted: they are the build's.
#[test]
fn an_idle_node_holds_little_memory_of_its_own() {
    let node = Process::start(&[]);
    let own = node.own_kib();
    assert!(own <= OWN_KIB_MAX, "{own} KiB");
    node.stop();
}
