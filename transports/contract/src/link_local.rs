use std::net::{IpAddr, Ipv6Addr};

/// The name of Google Cloud's metadata server.
const GOOGLE: &str = "metadata.google.internal";

/// True if `host` is where a cloud offers services to its own machines, such as instance metadata and credentials of
/// containers: an address of `169.254.0.0/16` or the two of AWS in `fd00:ec2::/112`, or
/// `metadata.google.internal`. Such a service is never reached through a proxy, and speaks plain `http`.
///
/// `host` is the host of a URL: IPv6 addresses may have brackets, names may end with a dot, case does not matter. No name is
/// looked up.
#[must_use]
pub fn is_link_local_service(host: &str) -> bool {
    const INSTANCE: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    const CONTAINER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23);
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match address.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) => match address.to_canonical() {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address == INSTANCE || address == CONTAINER,
        },
        Err(_) => host
            .strip_suffix('.')
            .unwrap_or(host)
            .eq_ignore_ascii_case(GOOGLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_clouds_are_known_by_their_addresses() {
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "[fd00:ec2::23]",
            "[FD00:EC2::254]",
            "metadata.google.internal",
            "Metadata.Google.Internal.",
        ] {
            assert!(is_link_local_service(host), "{host}");
        }
        for host in [
            "",
            "169.255.0.1",
            "169.253.255.255",
            "10.0.0.1",
            "127.0.0.1",
            "fd00:ec2::1",
            "fe80::1",
            "metadata.google.internal.example",
            "x.metadata.google.internal",
            "169.254.169.254.example",
        ] {
            assert!(!is_link_local_service(host), "{host}");
        }
    }
}
