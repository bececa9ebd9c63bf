//! hyper with nothing behind it.

use anyhow::Result;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Instances in the constant list, as many as the scenario's services have.
const HOSTS: u64 = 10;

/// Serves until the process is ended.
pub(super) async fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let list = Bytes::from(list());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let list = list.clone();
        #[allow(clippy::disallowed_methods, reason = "a benchmark without a product's tasks")]
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let is_list = request.uri().path().ends_with("/instance/list");
                let bytes = if is_list {
                    list.clone()
                } else {
                    Bytes::from_static(b"ok")
                };
                std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(bytes))))
            });
            // A client that goes away is no news here.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

/// As long as what a 1.x client is answered.
fn list() -> String {
    let hosts: Vec<_> = (0..HOSTS)
        .map(|n| {
            let ip = format!("10.0.0.{n}");
            json!({
                "instanceId": format!("{ip}#8080#DEFAULT#DEFAULT_GROUP@@load-0"), "ip": ip, "port": 8080, "weight": 1.0,
                "healthy": true, "enabled": true, "ephemeral": true, "clusterName": "DEFAULT",
                "serviceName": "DEFAULT_GROUP@@load-0", "metadata": {"zone": "a"}, "instanceHeartBeatInterval": 5000,
                "instanceHeartBeatTimeOut": 15000, "ipDeleteTimeout": 30000, "valid": true, "marked": false,
            })
        })
        .collect();
    json!({
        "name": "DEFAULT_GROUP@@load-0", "groupName": "DEFAULT_GROUP", "clusters": "", "cacheMillis": 10000, "hosts": hosts,
        "lastRefTime": 1_700_000_000_000_u64, "checksum": "", "allIPs": false, "reachProtectionThreshold": false,
        "valid": true, "dom": "DEFAULT_GROUP@@load-0", "useSpecifiedURL": false, "env": "", "metadata": {},
    })
    .to_string()
}
