//! Network namespaces: one for istiod, one hub with a bridge for each world, one for each pod.
//!
//! Names carry the number of the process that made them. What a run that was killed has left behind is found by that, and
//! removed by the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::{process, thread, time};

use anyhow::Result;

use super::process::{run, sh};

/// Where istiod is for pods: the hub hands it on.
pub const HUB: &str = "10.77.0.1";
const PREFIX: &str = "outrigger";

/// A namespace; whatever runs in it ends with it.
#[derive(Debug)]
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    /// Makes one, with its loopback up and `hosts` as its hosts file.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn new(name: &str, hosts: &str) -> Result<Self> {
        let name = free(&format!("{PREFIX}{}-{name}", process::id()));
        let etc = etc(&name);
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("hosts"), hosts)?;
        fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")?;
        sh(&format!("ip netns add {name}"))?;
        let namespace = Self { name };
        namespace.run("ip link set lo up")?;
        Ok(namespace)
    }

    /// Runs a command in it.
    ///
    /// # Errors
    /// When the command fails.
    pub fn run(&self, words: &str) -> Result<String> {
        sh(&format!("ip netns exec {} {words}", self.name))
    }

    /// Lets it hand packets on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forwards(&self) -> Result<()> {
        self.run("sysctl -q -w net.ipv4.ip_forward=1").map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// This name, or with a number after it when another mesh of this process has it.
fn free(name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !Path::new("/run/netns").join(name).exists()).unwrap_or_default()
}

fn etc(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}

/// Ends what runs in a namespace, by its numbers, and removes it.
fn remove(name: &str) {
    for _ in 0..50 {
        let pids = sh(&format!("ip netns pids {name}")).unwrap_or_default();
        if pids.trim().is_empty() {
            break;
        }
        for pid in pids.split_whitespace() {
            drop(sh(&format!("kill -s KILL {pid}")));
        }
        thread::sleep(time::Duration::from_millis(20));
    }
    // Nothing to do about what will not go.
    drop(sh(&format!("ip netns del {name}")));
    drop(fs::remove_dir_all(etc(name)));
}

/// Removes what runs that have ended left behind, or what this one has made.
pub fn sweep(own: bool) {
    let Ok(list) = sh("ip netns list") else { return };
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(owner) = owner.and_then(|owner| owner.parse::<u32>().ok()) else { continue };
        let is_own = owner == process::id();
        if own && is_own || !is_own && !Path::new(&format!("/proc/{owner}")).exists() {
            remove(name);
        }
    }
}

/// A namespace with a bridge, to which pods are attached.
#[derive(Debug)]
pub struct Hub {
    pub namespace: Namespace,
}

impl Hub {
    /// The bridge of world `index`, with a way to istiod's namespace.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn new(name: &str, index: usize, istiod: &Namespace) -> Result<Self> {
        let namespace = Namespace::new(name, "127.0.0.1 localhost\n")?;
        namespace.forwards()?;
        for words in [
            "ip link add br0 type bridge",
            &format!("ip addr add {HUB}/24 dev br0"),
            "ip link set br0 up",
            &format!("ip link add up0 type veth peer name world{index} netns {}", istiod.name),
            &format!("ip addr add 10.78.{index}.2/30 dev up0"),
            "ip link set up0 up",
            &format!(
                "iptables -w -t nat -A PREROUTING -i br0 -p tcp -d {HUB} --dport 15012 -j DNAT --to-destination 10.78.{index}.1"
            ),
            "iptables -w -t nat -A POSTROUTING -o up0 -j MASQUERADE",
        ] {
            namespace.run(words)?;
        }
        istiod.run(&format!("ip addr add 10.78.{index}.1/30 dev world{index}"))?;
        istiod.run(&format!("ip link set world{index} up"))?;
        Ok(Self { namespace })
    }

    /// Connects a pod's namespace, which then has this address on `eth0`.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn attach(&self, pod: &Namespace, ip: &str) -> Result<()> {
        let port = format!("p{}", ip.rsplit('.').next().unwrap_or(ip));
        self.namespace
            .run(&format!("ip link add {port} type veth peer name eth0 netns {}", pod.name))?;
        self.namespace.run(&format!("ip link set {port} master br0 up"))?;
        for words in [
            &format!("ip addr add {ip}/24 dev eth0"),
            "ip link set eth0 up",
            &format!("ip route add default via {HUB}"),
            // Gateways bind ports 80 and 443 as a user without rights.
            "sysctl -q -w net.ipv4.ip_unprivileged_port_start=0",
        ] {
            pod.run(words)?;
        }
        // Ports of clients are told from those of services by their number.
        let range = "net.ipv4.ip_local_port_range=33000 60999";
        run(&["ip", "netns", "exec", &pod.name, "sysctl", "-q", "-w", range]).map(drop)
    }

    /// Drops every packet on the way to istiod, and back, or stops doing so: nobody is told.
    ///
    /// # Errors
    /// When the rule cannot be changed.
    pub fn cut(&self, cut: bool) -> Result<()> {
        let change = if cut { "-I" } else { "-D" };
        for side in ["-i", "-o"] {
            self.namespace.run(&format!("iptables -w {change} FORWARD {side} up0 -j DROP"))?;
        }
        Ok(())
    }
}
