//! Hosts of their own for the nodes: network namespaces on one bridge, whose links can be cut.
//!
//! ```text
//! test (10.x.y.1) ── bridge ─┬─ host 1 (10.x.y.11)
//!                            ├─ host 2 (10.x.y.12)
//!                            └─ host 3 (10.x.y.13)
//! ```
//! A cut gives each of the two a wrong, fixed link address for the other, so that packets leave and reach nobody: silence,
//! as of a pulled cable behind a switch, without a packet filter or kernel modules. The test reaches all hosts all the time.

use crate::node::Place;
use anyhow::{Context, ensure};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

const NOBODY: &str = "02:00:00:00:de:ad";
const PORT: u16 = 8848;

/// Why there can be no namespaces here; `None` if there can.
pub fn namespaces_missing() -> Option<String> {
    let probe = format!("mu{}p", std::process::id());
    let tried = ip(&["netns", "add", &probe]).and_then(|()| ip(&["netns", "exec", &probe, "true"]));
    let removed = ip(&["netns", "del", &probe]);
    tried.and(removed).err().map(|error| format!("{error:#}"))
}

/// The namespaces of one test, removed when dropped.
#[derive(Debug)]
pub struct Hosts {
    /// Distinguishes this test's names; at most 9 characters, since a device's name has at most 15.
    tag: String,
    subnet: (u8, u8),
    count: u8,
}

impl Hosts {
    /// Makes `count` hosts.
    ///
    /// # Errors
    /// No root, no `ip`, no kernel support: ask [`namespaces_missing`] first.
    pub fn new(count: u8) -> anyhow::Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let hosts = Self {
            tag: format!("{:x}n{number}", process & 0xf_ffff),
            subnet: ((200 + process % 50) as u8, (process / 50 % 200) as u8 + number % 50),
            count,
        };
        hosts.build()?;
        Ok(hosts)
    }

    fn build(&self) -> anyhow::Result<()> {
        let bridge = self.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", self.ip(0)), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for host in 1..=self.count {
            let (name, outside, inside) = (self.namespace(host), self.outside(host), self.inside(host));
            ip(&["netns", "add", &name])?;
            ip(&[
                "link", "add", &outside, "type", "veth", "peer", "name", &inside, "netns", &name,
            ])?;
            ip(&["link", "set", &outside, "master", &bridge, "up"])?;
            ip(&[
                "-n",
                &name,
                "addr",
                "add",
                &format!("{}/24", self.ip(host)),
                "dev",
                &inside,
            ])?;
            ip(&["-n", &name, "link", "set", &inside, "up"])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    /// Where node `host` (1 and up) is to run.
    pub fn place(&self, host: u8) -> Place {
        Place {
            ip: self.ip(host).into(),
            port: PORT,
            namespace: Some(self.namespace(host)),
        }
    }

    pub fn places(&self) -> Vec<Place> {
        (1..=self.count).map(|host| self.place(host)).collect()
    }

    /// Where the test itself is seen from the hosts.
    pub fn test_address(&self) -> Ipv4Addr {
        self.ip(0)
    }

    /// Lets nothing through between two hosts, in both directions.
    ///
    /// # Errors
    /// Those of `ip`.
    pub fn cut(&self, one: u8, other: u8) -> anyhow::Result<()> {
        self.cut_way(one, other)?;
        self.cut_way(other, one)
    }

    /// Lets nothing through from one host to the other; the way back stays open.
    ///
    /// # Errors
    /// Those of `ip`.
    pub fn cut_way(&self, from: u8, to: u8) -> anyhow::Result<()> {
        let (name, to) = (self.namespace(from), self.ip(to).to_string());
        ip(&[
            "-n",
            &name,
            "neigh",
            "replace",
            &to,
            "lladdr",
            NOBODY,
            "dev",
            &self.inside(from),
            "nud",
            "permanent",
        ])
    }

    /// Cuts a host off from all other hosts; the test still reaches it.
    ///
    /// # Errors
    /// Those of `ip`.
    pub fn isolate(&self, host: u8) -> anyhow::Result<()> {
        (1..=self.count)
            .filter(|&other| other != host)
            .try_for_each(|other| self.cut(host, other))
    }

    /// Takes all cuts back.
    ///
    /// # Errors
    /// Those of `ip`.
    pub fn heal(&self) -> anyhow::Result<()> {
        for host in 1..=self.count {
            let (name, inside) = (self.namespace(host), self.inside(host));
            ip(&["-n", &name, "neigh", "flush", "dev", &inside, "nud", "permanent"])?;
        }
        Ok(())
    }

    fn ip(&self, host: u8) -> Ipv4Addr {
        let last = if host == 0 { 1 } else { 10 + host };
        Ipv4Addr::new(10, self.subnet.0, self.subnet.1, last)
    }

    fn bridge(&self) -> String {
        format!("mub{}", self.tag)
    }

    fn namespace(&self, host: u8) -> String {
        format!("mus{}-{host}", self.tag)
    }

    fn outside(&self, host: u8) -> String {
        format!("muo{}-{host}", self.tag)
    }

    fn inside(&self, host: u8) -> String {
        format!("mui{}-{host}", self.tag)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // what was never made cannot be removed, which is well
        for host in 1..=self.count {
            let _ = ip(&["netns", "del", &self.namespace(host)]);
            let _ = ip(&["link", "del", &self.outside(host)]);
        }
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("ip {}", arguments.join(" ")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host answers a call to a closed port at once, with a refusal; silence is ended by `timeout`, with 124.
    fn can_reach(hosts: &Hosts, from: u8, to: u8) -> bool {
        let probe = format!("exec 3<>/dev/tcp/{}/{PORT}", hosts.ip(to));
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &hosts.namespace(from),
            "timeout",
            "1",
            "bash",
            "-c",
            &probe,
        ]);
        command.stderr(Stdio::null()).status().unwrap().code() != Some(124)
    }

    #[test]
    fn a_cut_link_carries_nothing_until_it_is_healed() {
        if let Some(why) = namespaces_missing() {
            eprintln!("not run, there are no network namespaces here: {why}");
            return;
        }
        let hosts = Hosts::new(2).unwrap();
        let opened = can_reach(&hosts, 1, 2);
        hosts.isolate(1).unwrap();
        let cut = !can_reach(&hosts, 1, 2) && !can_reach(&hosts, 2, 1);
        hosts.heal().unwrap();
        let healed = can_reach(&hosts, 1, 2);
        assert!(opened && cut && healed, "opened {opened}, cut {cut}, healed {healed}");
    }
}
