//! Hearing of changes: by UDP push, by polling where pushes do not arrive.

use crate::naming::{grouped, joined};
use crate::notice::{self, Notice};
use crate::{Client, Error, Listed};
use muster_model::{ClusterName, ServiceKey};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// The wait between polls is what the server answers, within these.
const POLL_MIN: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(60);
/// After a poll that failed.
const POLL_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// A subscription. Driven by [`Watch::next`]; pushes that come while nobody waits there are kept by the kernel.
///
/// Each poll renews the subscription at a server, which then pushes to this process's socket. A lost push, a dead server or
/// a network without UDP makes changes later, by one poll, not lost.
pub struct Watch {
    client: Client,
    service: ServiceKey,
    clusters: String,
    socket: Option<UdpSocket>,
    /// Addresses of the server that was polled last: whoever else sends datagrams is not heard.
    pushers: Vec<IpAddr>,
    told: Option<Listed>,
    poll_at: Instant,
    buffer: Vec<u8>,
}

enum Heard {
    PollIsDue,
    Datagram(usize, SocketAddr),
}

impl Client {
    /// Watches the instances of a service, of all clusters or of those named. Asks nothing before [`Watch::next`].
    pub fn watch(&self, service: ServiceKey, clusters: &[ClusterName]) -> Watch {
        Watch {
            client: self.clone(),
            service,
            clusters: joined(clusters),
            socket: None,
            pushers: Vec::new(),
            told: None,
            poll_at: Instant::now(),
            buffer: vec![0; 65_536],
        }
    }
}

impl Watch {
    /// Waits for the first list, then for each list that differs from the last.
    ///
    /// # Errors
    /// A poll that failed; calling again goes on, after a pause.
    pub async fn next(&mut self) -> Result<Listed, Error> {
        loop {
            let news = match self.heard().await? {
                Heard::PollIsDue => Some(self.poll().await?),
                Heard::Datagram(bytes, from) => self.pushed(bytes, from).await,
            };
            if let Some(listed) = news.filter(|listed| is_news(self.told.as_ref(), listed)) {
                self.told = Some(listed.clone());
                return Ok(listed);
            }
        }
    }

    async fn heard(&mut self) -> Result<Heard, Error> {
        let Some(socket) = &self.socket else {
            tokio::time::sleep_until(self.poll_at).await;
            return Ok(Heard::PollIsDue);
        };
        tokio::select! {
            () = tokio::time::sleep_until(self.poll_at) => Ok(Heard::PollIsDue),
            received = socket.recv_from(&mut self.buffer) => {
                let (bytes, from) = received?;
                Ok(Heard::Datagram(bytes, from))
            }
        }
    }

    async fn poll(&mut self) -> Result<Listed, Error> {
        self.poll_at = Instant::now() + POLL_AFTER_FAILURE;
        let push_to = self.socket.as_ref().and_then(|socket| socket.local_addr().ok());
        let (mut listed, server) = self.client.subscribe(&self.service, &self.clusters, push_to).await?;
        if self.open_socket(&server).await {
            let push_to = self.socket.as_ref().and_then(|socket| socket.local_addr().ok());
            (listed, _) = self.client.subscribe(&self.service, &self.clusters, push_to).await?;
        }
        self.poll_at = Instant::now() + listed.cache.clamp(POLL_MIN, POLL_MAX);
        Ok(listed)
    }

    /// Has a socket at the address by which `server` is reached; says whether it is a new one. Without one, polls do.
    async fn open_socket(&mut self, server: &str) -> bool {
        let Ok(found) = tokio::net::lookup_host(server).await else {
            return false;
        };
        let found: Vec<SocketAddr> = found.collect();
        self.pushers = found.iter().map(|address| address.ip()).collect();
        for address in found {
            let Some(own) = own_address_toward(address).await else {
                continue;
            };
            let has = self.socket.as_ref().and_then(|socket| socket.local_addr().ok());
            if has.is_some_and(|has| has.ip() == own) {
                return false;
            }
            if let Ok(socket) = UdpSocket::bind((own, 0)).await {
                self.socket = Some(socket);
                return true;
            }
        }
        false
    }

    async fn pushed(&mut self, bytes: usize, from: SocketAddr) -> Option<Listed> {
        if !self.pushers.contains(&from.ip()) {
            return None;
        }
        let Notice {
            name,
            clusters,
            listed,
            ack,
        } = notice::read(&self.buffer[..bytes])?;
        if let Some(socket) = &self.socket {
            // A lost ack costs one more push.
            let _ = socket.send_to(&ack, from).await;
        }
        (name == grouped(&self.service) && clusters == self.clusters).then_some(listed)
    }
}

/// The address this machine would send from. Sends nothing.
async fn own_address_toward(server: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let probe = UdpSocket::bind(any).await.ok()?;
    probe.connect(server).await.ok()?;
    Some(probe.local_addr().ok()?.ip())
}

/// Whether a list is worth telling: not older than what was told, and different.
fn is_news(told: Option<&Listed>, listed: &Listed) -> bool {
    told.is_none_or(|told| {
        let older = listed.stamp_ms != 0 && listed.stamp_ms < told.stamp_ms;
        !older && listed.instances != told.instances
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{Host, Instance, InstanceKey, Kind};

    fn listed(stamp_ms: u64, hosts: &[&str]) -> Listed {
        Listed {
            instances: hosts
                .iter()
                .map(|host| Instance::new(InstanceKey::new(Host::parse(host).unwrap(), 80), Kind::Ephemeral))
                .collect(),
            cache: Duration::ZERO,
            stamp_ms,
        }
    }

    #[test]
    fn an_older_list_is_not_told_after_a_newer_one() {
        let told = listed(10, &["a"]);
        assert!(!is_news(Some(&told), &listed(9, &["a", "b"])));
        assert!(is_news(Some(&told), &listed(11, &["a", "b"])));
    }

    #[test]
    fn the_same_list_is_not_told_twice() {
        assert!(is_news(None, &listed(10, &[])));
        assert!(!is_news(Some(&listed(10, &["a"])), &listed(11, &["a"])));
    }
}
