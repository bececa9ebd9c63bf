//! Where the cluster and its clients stand: a network namespace with an address that is not loopback.
//!
//! The Node, Java and Go clients tell the server their host's own address to push to, and none takes a loopback one. A namespace
//! gives every run the same address and the same free ports on any machine. It is made by `unshare`, together with a process
//! namespace, rather than by name: the kernel takes all of it down when its first process ends, however that comes about.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The address of the first node, and the one that clients find as their own.
pub(super) const ADDRESS: &str = "10.99.0.1";

/// Of the other nodes: some clients find a node that they are told to go to by its IP address alone.
const FURTHER: [&str; 2] = ["10.99.0.2", "10.99.0.3"];

const UNSHARE: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Runs this command again inside a new namespace, and ends with its exit code.
pub(super) fn enter(args: &[String], bin: &Path) -> Result<()> {
    let probe = Command::new("unshare")
        .args(UNSHARE)
        .args(["ip", "link", "set", "lo", "up"])
        .output();
    let probe = probe.context("cannot run unshare (of util-linux), which makes the network namespace")?;
    ensure!(
        probe.status.success(),
        "no network namespace can be made here: this needs root, Linux, unshare and ip ({})",
        String::from_utf8_lossy(&probe.stderr).trim()
    );
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    // Ctrl-C, a signal, kill -9: when this process dies the kernel kills unshare, and with it the namespace's first process.
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(UNSHARE)
        .arg(own)
        .arg("compat")
        .args(args)
        .arg("--inside")
        .arg(bin)
        .status()
        .context("cannot run setpriv (of util-linux)")?;
    std::process::exit(status.code().unwrap_or(1))
}

/// Gives the namespace its interface, and the host's name the address that Java asks it for.
pub(super) fn furnish(cache: &Path) -> Result<()> {
    ip("link set lo up")?;
    // Of a pair of ends one is enough; the kernel keeps it up only while the other is. Node looks for an eth0 first.
    ip("link add eth0 type veth peer name peer0")?;
    for address in [ADDRESS, FURTHER[0], FURTHER[1]] {
        ip(&format!("address add {address}/24 dev eth0"))?;
    }
    ip("link set peer0 up")?;
    ip("link set eth0 up")?;

    let name = fs::read_to_string("/proc/sys/kernel/hostname").context("cannot read the host's name")?;
    let hosts = cache.join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost\n{ADDRESS} {}\n", name.trim()))
        .context("cannot write the hosts file")?;
    let mount = Command::new("mount")
        .arg("--bind")
        .arg(&hosts)
        .arg("/etc/hosts")
        .status()
        .context("cannot run mount")?;
    ensure!(mount.success(), "cannot lay {} over /etc/hosts", hosts.display());
    Ok(())
}

/// Where nodes of these ports listen: each on an address of its own, or all on one other than the namespace's.
pub(super) fn listeners(on: Ipv4Addr, ports: &[u16]) -> Result<Vec<SocketAddrV4>> {
    let of_namespace = [ADDRESS, FURTHER[0], FURTHER[1]].map(str::parse::<Ipv4Addr>);
    let mut listeners = Vec::new();
    for (port, own) in ports.iter().zip(of_namespace) {
        let shared = on.to_string() != ADDRESS;
        listeners.push(SocketAddrV4::new(if shared { on } else { own? }, *port));
    }
    Ok(listeners)
}

fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(words.split(' '))
        .output()
        .context("cannot run ip (of iproute2)")?;
    if !output.status.success() {
        bail!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
