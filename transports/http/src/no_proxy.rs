//! Hosts that are reached without a proxy.

use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

/// The entries of `NO_PROXY`.
///
/// Separated by commas or spaces: `*` for every host; a name for itself and all names below it, also written `.name` and `*.name`;
/// an address; a network such as `10.0.0.0/8`. Names, and addresses, may be followed by `:port`, and then count for that port alone
/// (an IPv6 address then has brackets). An entry that is none of these matches nothing, as in curl.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoProxy(Box<[Entry]>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// The name and what is below it, in lower case, without dots at its ends.
    Name(Box<str>),
    Network(IpNet),
}

impl NoProxy {
    pub(crate) fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        NoProxy(entries.filter_map(entry).collect())
    }

    pub(crate) fn matches(&self, host: &str, port: u16) -> bool {
        let written = address(host);
        // `::ffff:10.0.0.1` is both an IPv6 address and an IPv4 address.
        let canonical = written.map(|address| address.to_canonical());
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.0.iter().any(|entry| {
            let covered = match (&entry.hosts, written) {
                (Hosts::All, _) => true,
                (Hosts::Name(parent), None) => name
                    .strip_suffix(&**parent)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
                (Hosts::Network(network), Some(_)) => [written, canonical]
                    .iter()
                    .flatten()
                    .any(|address| network.contains(address)),
                _ => false,
            };
            covered && entry.port.is_none_or(|only| only == port)
        })
    }
}

/// An IPv6 address may have brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    bare.unwrap_or(text).parse().ok()
}

fn entry(text: &str) -> Option<Entry> {
    if let Some(hosts) = network(text) {
        return Some(Entry { hosts, port: None });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let hosts = network(host).or_else(|| name(host))?;
    Some(Entry { hosts, port })
}

fn network(text: &str) -> Option<Hosts> {
    let network = address(text).map(IpNet::from);
    let network = network.or_else(|| text.parse().ok())?;
    Some(Hosts::Network(mapped(network).unwrap_or(network)))
}

/// The IPv4 network that `::ffff:10.0.0.0/104` is.
fn mapped(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(v6) = network else {
        return None;
    };
    let length = v6.prefix_len().checked_sub(96)?;
    let v4 = Ipv4Net::new(v6.addr().to_ipv4_mapped()?, length).ok()?;
    Some(IpNet::V4(v4))
}

fn name(text: &str) -> Option<Hosts> {
    if text == "*" {
        return Some(Hosts::All);
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let name = name.trim_start_matches('.');
    let name = name.strip_suffix('.').unwrap_or(name);
    let valid = !name.is_empty() && !name.contains(['*', '/', '[', ']', ':']);
    valid.then(|| Hosts::Name(name.to_ascii_lowercase().into()))
}
