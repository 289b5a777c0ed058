//! The order in which a host's addresses are tried (RFC 8305).

use std::{net::SocketAddr, time::Duration};

/// How long a connection attempt may take before the next address is tried concurrently (RFC 8305, 5).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses with IPv6 and IPv4 alternating, starting with the family of the first; otherwise in their order (RFC
/// 8305, 4).
#[must_use]
pub fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for address in addresses {
        if address.is_ipv6() == first_is_v6 {
            first.push(*address);
        } else {
            second.push(*address);
        }
    }
    let most = first.len().max(second.len());
    let turn = |at: usize| first.get(at).into_iter().chain(second.get(at));
    (0..most).flat_map(turn).copied().collect()
}
