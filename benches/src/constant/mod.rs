//! Servers of the stacks that the product's doors are built on, which answer every call with bytes that were there before: the
//! rate that the machine, the kernel and the stack allow, and the measure for what the product adds.

mod grpc;
mod http;

use anyhow::Result;
use std::net::SocketAddr;

/// Serves HTTP and gRPC until the process is ended.
///
/// # Errors
/// An address is taken.
pub async fn serve(http: SocketAddr, grpc: SocketAddr) -> Result<()> {
    tokio::try_join!(http::serve(http), grpc::serve(grpc))?;
    Ok(())
}
