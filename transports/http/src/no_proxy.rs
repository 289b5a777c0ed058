//! Hosts that are reached without a proxy.

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
    /// The addresses that share the first bits of this one.
    Network(IpAddr, u32),
}

impl NoProxy {
    pub(crate) fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        NoProxy(entries.filter_map(entry).collect())
    }

    pub(crate) fn matches(&self, host: &str, port: u16) -> bool {
        let bare = host.trim_matches(['[', ']']);
        let address = bare.parse::<IpAddr>().map(|ip| ip.to_canonical()).ok();
        let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
        self.0.iter().any(|entry| {
            let covered = match (&entry.hosts, address) {
                (Hosts::All, _) => true,
                (Hosts::Name(parent), None) => is_at_or_below(&name, parent),
                (Hosts::Network(network, bits), Some(address)) => {
                    bits_of(*network, *bits) == bits_of(address, *bits)
                }
                _ => false,
            };
            covered && entry.port.is_none_or(|only| only == port)
        })
    }
}

fn is_at_or_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The first bits of an address, and which family they are of.
fn bits_of(address: IpAddr, bits: u32) -> (bool, u128) {
    let (all, size) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32_u32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let dropped = size.saturating_sub(bits);
    (
        address.is_ipv4(),
        all.checked_shr(dropped).unwrap_or_default(),
    )
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
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    let address = bare.unwrap_or(address).parse::<IpAddr>().ok()?;
    let size: u32 = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= size)?,
        None => size,
    };
    match (address.to_canonical(), address) {
        (IpAddr::V4(v4), IpAddr::V6(_)) => Some(Hosts::Network(v4.into(), bits.saturating_sub(96))),
        (address, _) => Some(Hosts::Network(address, bits)),
    }
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
