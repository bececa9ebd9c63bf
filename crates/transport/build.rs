//! Generates the peer service from `proto/peer/peer.proto`; protox compiles it, so no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto/peer";
    println!("cargo:rerun-if-changed={root}");
    let descriptors = protox::compile(["peer.proto"], [root])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
