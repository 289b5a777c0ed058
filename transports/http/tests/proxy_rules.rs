//! Which proxy a request goes through: the rules of curl, as one table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::HashMap, ffi::OsString};
use unifiedai_http::{proxy::Proxies, target::Target};
use unifiedai_transport::{RequestDelivery, TransportErrorKind};

/// Variables, the URL of a request, and the proxy on the way to it.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

const DIRECT: &str = "";
const P: (&str, &str) = ("all_proxy", "http://p");

const CASES: &[Case] = &[
    // Which variable.
    (&[], "https://a.test", DIRECT),
    (
        &[("https_proxy", "http://p:1")],
        "https://a.test",
        "http://p:1",
    ),
    (&[("https_proxy", "http://p:1")], "http://a.test", DIRECT),
    (
        &[("HTTPS_PROXY", "http://p:1")],
        "https://a.test",
        "http://p:1",
    ),
    (
        &[("https_proxy", "l:1"), ("HTTPS_PROXY", "u:1")],
        "https://a.test",
        "http://l:1",
    ),
    (
        &[("http_proxy", "http://p:1")],
        "http://a.test",
        "http://p:1",
    ),
    (&[("http_proxy", "http://p:1")], "https://a.test", DIRECT),
    (
        &[("HTTP_PROXY", "http://p:1")],
        "http://a.test",
        "http://p:1",
    ),
    (&[("HTTP_PROXY", "http://p:1")], "https://a.test", DIRECT),
    (
        &[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")],
        "http://a.test",
        DIRECT,
    ),
    (
        &[("http_proxy", "http://p:1"), ("REQUEST_METHOD", "GET")],
        "http://a.test",
        "http://p:1",
    ),
    (
        &[("ALL_PROXY", "http://p:1")],
        "https://a.test",
        "http://p:1",
    ),
    (
        &[("all_proxy", "http://p:1")],
        "http://a.test",
        "http://p:1",
    ),
    (
        &[("ALL_PROXY", "http://all:1"), ("HTTPS_PROXY", "http://p:1")],
        "https://a.test",
        "http://p:1",
    ),
    (
        &[("ALL_PROXY", "http://all:1"), ("HTTPS_PROXY", "http://p:1")],
        "http://a.test",
        "http://all:1",
    ),
    (
        &[("ALL_PROXY", "http://all:1"), ("HTTPS_PROXY", "")],
        "https://a.test",
        "http://all:1",
    ),
    // What a value may be.
    (&[("all_proxy", "p")], "http://a.test", "http://p:80"),
    (
        &[("all_proxy", "  http://p:8080/path  ")],
        "http://a.test",
        "http://p:8080",
    ),
    (
        &[("all_proxy", "HTTPS://p")],
        "http://a.test",
        "https://p:443",
    ),
    (
        &[("all_proxy", "socks5://p")],
        "http://a.test",
        "socks5://p:1080",
    ),
    (
        &[("all_proxy", "socks5h://u:pw@p:9")],
        "http://a.test",
        "socks5h://p:9",
    ),
    (
        &[("all_proxy", "http://[fd00::1]")],
        "http://a.test",
        "http://[fd00::1]:80",
    ),
    (
        &[("all_proxy", "http://[fd00::1]:3128")],
        "http://a.test",
        "http://[fd00::1]:3128",
    ),
    (
        &[("all_proxy", "u:p@ss@p:1")],
        "http://a.test",
        "http://p:1",
    ),
    // Loopback is reached directly.
    (&[P], "http://127.0.0.1:8080", DIRECT),
    (&[P], "http://[::1]", DIRECT),
    (&[P], "http://[::ffff:127.0.0.1]", DIRECT),
    (&[P], "http://169.254.169.254", DIRECT),
    (&[P], "http://169.254.170.23", DIRECT),
    (&[P], "http://[fd00:ec2::23]", DIRECT),
    (&[P], "http://metadata.google.internal", DIRECT),
    (&[P], "http://localhost", DIRECT),
    (&[P], "http://llm.localhost", DIRECT),
    (&[P], "http://localhost.test", "http://p:80"),
    // So are a cloud's services for its machines.
    (&[P], "http://169.254.169.254", DIRECT),
    (&[P], "http://metadata.google.internal", DIRECT),
    (&[P], "http://169.255.1.1", "http://p:80"),
    // Exceptions.
    (&[P, ("no_proxy", "*")], "http://a.test", DIRECT),
    (&[P, ("NO_PROXY", "corp.test")], "http://corp.test", DIRECT),
    (
        &[P, ("NO_PROXY", "corp.test")],
        "http://api.corp.test",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "corp.test")],
        "http://API.Corp.Test.",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "CORP.test.")],
        "http://api.corp.test",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "corp.test")],
        "http://evilcorp.test",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", "corp.test")],
        "http://corp.test.evil",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", ".corp.test")],
        "http://api.corp.test",
        DIRECT,
    ),
    (&[P, ("NO_PROXY", ".corp.test")], "http://corp.test", DIRECT),
    (
        &[P, ("NO_PROXY", "*.corp.test")],
        "http://a.b.corp.test",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "*.corp.test")],
        "http://evilcorp.test",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", "a.test, \tb.test ,c.test")],
        "http://b.test",
        DIRECT,
    ),
    (&[P, ("NO_PROXY", "a.test b.test")], "http://b.test", DIRECT),
    (&[P, ("NO_PROXY", ",, ,")], "http://b.test", "http://p:80"),
    (
        &[P, ("no_proxy", "a.test"), ("NO_PROXY", "b.test")],
        "http://b.test",
        "http://p:80",
    ),
    (
        &[P, ("no_proxy", ""), ("NO_PROXY", "b.test")],
        "http://b.test",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "a.test:8080")],
        "http://a.test:8080",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "a.test:8080")],
        "http://b.a.test:8080",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "a.test:8080")],
        "http://a.test",
        "http://p:80",
    ),
    (&[P, ("NO_PROXY", "a.test:443")], "https://a.test", DIRECT),
    (
        &[P, ("NO_PROXY", "a.test:80800")],
        "http://a.test",
        "http://p:80",
    ),
    (&[P, ("NO_PROXY", "10.1.2.3")], "http://10.1.2.3", DIRECT),
    (
        &[P, ("NO_PROXY", "10.1.2.3")],
        "http://10.1.2.4",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", "1.2.3")],
        "http://10.1.2.3",
        "http://p:80",
    ),
    (&[P, ("NO_PROXY", "10.1.2.3:80")], "http://10.1.2.3", DIRECT),
    (
        &[P, ("NO_PROXY", "10.0.0.0/8")],
        "http://10.200.0.1",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "10.0.0.0/8")],
        "http://11.0.0.1",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", "10.0.0.0/8")],
        "http://[::ffff:10.0.0.1]",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "192.168.4.0/22")],
        "http://192.168.7.255",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "192.168.4.0/22")],
        "http://192.168.8.0",
        "http://p:80",
    ),
    (&[P, ("NO_PROXY", "0.0.0.0/0")], "http://8.8.8.8", DIRECT),
    (
        &[P, ("NO_PROXY", "0.0.0.0/0")],
        "http://[fd00::1]",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", "10.0.0.0/33")],
        "http://10.0.0.1",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", "10.0.0.0/8")],
        "http://name.test",
        "http://p:80",
    ),
    (&[P, ("NO_PROXY", "fd00::/8")], "http://[fdff::1]", DIRECT),
    (
        &[P, ("NO_PROXY", "fd00::/8")],
        "http://[fe00::1]",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", "::ffff:10.0.0.0/104")],
        "http://10.200.0.1",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "::ffff:10.0.0.0/104")],
        "http://[::ffff:10.0.0.1]",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "::ffff:10.0.0.0/104")],
        "http://11.0.0.1",
        "http://p:80",
    ),
    (
        &[P, ("NO_PROXY", "::ffff:10.1.2.3")],
        "http://10.1.2.3",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "::/0")],
        "http://[::ffff:10.0.0.1]",
        DIRECT,
    ),
    (&[P, ("NO_PROXY", "::/0")], "http://10.0.0.1", "http://p:80"),
    (&[P, ("NO_PROXY", "fd00::1")], "http://[fd00::1]:99", DIRECT),
    (&[P, ("NO_PROXY", "[fd00::1]")], "http://[fd00::1]", DIRECT),
    (
        &[P, ("NO_PROXY", "[fd00::1]:99")],
        "http://[fd00::1]:99",
        DIRECT,
    ),
    (
        &[P, ("NO_PROXY", "[fd00::1]:99")],
        "http://[fd00::1]",
        "http://p:80",
    ),
    // An exception also saves from a setting that cannot be used.
    (
        &[("all_proxy", "ftp://p"), ("NO_PROXY", "a.test")],
        "http://a.test",
        DIRECT,
    ),
];

#[test]
fn a_request_takes_the_proxy_that_curl_would_take() {
    for (variables, url, expected) in CASES {
        let proxies = proxies(variables);
        let proxy = proxies.route(&target(url));
        let proxy = proxy.unwrap_or_else(|e| panic!("{variables:?} {url}: {e}"));
        let proxy = proxy.map_or_else(String::new, ToString::to_string);
        assert_eq!(proxy, *expected, "{variables:?} {url}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_an_error_without_its_password() {
    for value in [
        "ftp://u:CANARY@p",
        "socks4://u:CANARY@p",
        "socks://u:CANARY@p",
        "http://u:CANARY@",
        "http://u:CANARY@p:x",
        "http://u:CANARY@p:0",
        "http://u:CANARY@p:65536",
        "http://u:CANARY@[fd00::1",
        "http://u:CANARY@[CANARY]",
        "http://u:CANARY@a b",
        "http://u:CANARY@\u{e9}",
        "http://u:CANARY/x@p",
        "http://u:%ff@p",
        "CANARY://",
        "://CANARY",
    ] {
        let proxies = proxies(&[("HTTPS_PROXY", value)]);
        let error = proxies.route(&target("https://a.test")).unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Proxy, "{value}");
        assert_eq!(error.delivery(), RequestDelivery::NotSent, "{value}");
        let text = format!("{error} {error:?} {proxies:?}");
        assert!(text.contains("HTTPS_PROXY"), "{value}: {text}");
        assert!(!text.contains("CANARY"), "{value}: {text}");
    }
}

#[test]
fn credentials_are_decoded_once_and_never_shown() {
    for (url, user, password) in [
        ("http://us%40er:p%3Aw%2f%25@p", "us@er", "p:w/%"),
        ("http://user@p", "user", ""),
        ("http://:CANARY@p", "", "CANARY"),
        ("http://a%:100%zz@p", "a%", "100%zz"),
        ("http://a+b:%C3%A9@p", "a+b", "é"),
        ("socks5://user:p@w@p", "user", "p@w"),
    ] {
        let proxies = Proxies::all(url);
        let proxy = proxies.route(&target("https://a.test")).unwrap().unwrap();
        assert_eq!(proxy.credentials(), Some((user, password)), "{url}");
        assert!(proxy.authorization().unwrap().is_sensitive());
        let shown = format!("{proxy} {proxy:?} {proxies:?} {:?}", proxy.authorization());
        assert!(!shown.contains(user) || user.is_empty(), "{shown}");
    }
    let proxies = Proxies::all("http://user:pass@p");
    let proxy = proxies.route(&target("http://a.test")).unwrap().unwrap();
    assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpwYXNz");
    let proxies = Proxies::all("http://p");
    let proxy = proxies.route(&target("http://a.test")).unwrap().unwrap();
    assert_eq!((proxy.credentials(), proxy.authorization()), (None, None));
}

#[test]
fn an_option_goes_before_the_environment_and_has_its_own_exceptions() {
    let proxies = Proxies::all("http://p:1").except("corp.test");
    assert!(proxies.route(&target("https://a.test")).unwrap().is_some());
    assert!(
        proxies
            .route(&target("http://x.corp.test"))
            .unwrap()
            .is_none()
    );
    assert!(
        proxies
            .route(&target("http://localhost"))
            .unwrap()
            .is_none()
    );
    assert!(
        Proxies::none()
            .route(&target("https://a.test"))
            .unwrap()
            .is_none()
    );
    let error = Proxies::all("gopher://p")
        .route(&target("https://a.test"))
        .unwrap_err();
    assert!(error.to_string().contains("`proxy`"), "{error}");
}

fn proxies(variables: &[(&str, &str)]) -> Proxies {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Proxies::from_variables(|name| variables.get(name).map(OsString::from))
}

fn target(url: &str) -> Target {
    Target::of(&url.parse().unwrap()).unwrap()
}
