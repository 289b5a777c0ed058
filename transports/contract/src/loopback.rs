use std::net::IpAddr;

/// True if `host` is this machine: an address of `127.0.0.0/8`, `::1`, an IPv4 loopback address in IPv6 form
/// (`::ffff:127.0.0.1`), `localhost`, or a name that ends with `.localhost` (RFC 6761, 6.3).
///
/// `host` is the host of a URL: an IPv6 address may have brackets, a name may end with a dot, and case does not
/// matter. No name is resolved, so a name that a resolver maps to a loopback address does not count.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match address.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let name = host.strip_suffix('.').unwrap_or(host);
            let label = match name.rsplit_once('.') {
                Some((parent, label)) if !parent.is_empty() => label,
                _ => name,
            };
            label.eq_ignore_ascii_case("localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_address_and_by_name() {
        for host in [
            "127.0.0.1",
            "127.3.2.1",
            "::1",
            "[::1]",
            "::ffff:127.0.0.1",
            "[::ffff:127.9.9.9]",
            "localhost",
            "LocalHost",
            "localhost.",
            "a.localhost",
            "A.B.LOCALHOST.",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ".",
            ".localhost",
            "10.0.0.1",
            "128.0.0.1",
            "0.0.0.0",
            "::",
            "::2",
            "::ffff:10.0.0.1",
            "[127.0.0.1",
            "127.0.0.1.example",
            "localhost.example",
            "notlocalhost",
            "localhost..",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
