//! Generates Nacos's gRPC messages from `proto/client`; protox compiles it, so no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto/client";
    println!("cargo:rerun-if-changed={root}");
    let descriptors = protox::compile(["nacos_grpc_service.proto"], [root])?;
    prost_build::Config::new()
        // Our own `Any`, whose value is not copied out of what was received.
        .extern_path(".google.protobuf.Any", "crate::grpc::Any")
        .compile_fds(descriptors)?;
    Ok(())
}
