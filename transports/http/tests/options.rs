//! Options, the TLS configuration that they make, and what else transports share.

#![allow(clippy::unwrap_used, reason = "tests")]

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use unifiedai_http::{Options, clock, target::interleaved, tls};
use unifiedai_transport::Time;

#[test]
fn pem_without_certificates_or_keys_is_refused() {
    let wrong = Options::new().extra_roots_pem(b"not PEM").unwrap_err();
    assert!(
        wrong.to_string().starts_with("extra_roots_pem: "),
        "{wrong}"
    );
    let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert!(Options::new().extra_roots_pem(broken).is_err());
    let wrong = Options::new()
        .client_certificate_pem(broken, b"CANARY")
        .unwrap_err();
    assert!(!wrong.to_string().contains("CANARY"), "{wrong}");
}

#[test]
fn a_key_is_not_shown() {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(b"CANARY".to_vec()));
    let mut options = Options::new();
    options.client_certificate = Some(Arc::new((Vec::new(), key)));
    let shown = format!("{options:?}");
    assert!(
        !shown.contains("CANARY") && !shown.contains("67, 65"),
        "{shown}"
    );
    assert!(shown.contains("client_certificate: Some("), "{shown}");
}

#[test]
fn the_defaults_make_a_configuration() {
    assert!(tls::config(&Options::new()).is_ok());
}

#[test]
fn a_configuration_of_the_callers_own_is_taken_as_it_is_and_excludes_the_rest() {
    let own = tls::config(&Options::new()).unwrap();
    let mut options = Options::new().tls(Arc::clone(&own));
    assert!(Arc::ptr_eq(&tls::config(&options).unwrap(), &own));
    options.extra_roots.push(CertificateDer::from(vec![0]));
    let refused = tls::config(&options).unwrap_err().to_string();
    assert!(refused.starts_with("tls: "), "{refused}");
}

#[test]
fn a_root_that_is_no_certificate_is_refused() {
    let mut options = Options::new();
    options.extra_roots.push(CertificateDer::from(vec![0]));
    let refused = tls::config(&options).unwrap_err().to_string();
    assert!(refused.starts_with("extra_roots: "), "{refused}");
}

#[cfg(feature = "platform-verifier")]
#[test]
fn the_systems_roots_make_a_configuration() {
    assert!(tls::config(&Options::new().platform_roots()).is_ok());
}

#[test]
fn address_families_take_turns() {
    let order = |given: &[&str]| {
        let given: Vec<SocketAddr> = given.iter().map(|a| a.parse().unwrap()).collect();
        let order = interleaved(&given);
        order.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        order(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]),
        ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]
    );
    assert_eq!(
        order(&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]),
        ["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]
    );
    assert_eq!(order(&["1.1.1.1:1"]), ["1.1.1.1:1"]);
    assert!(interleaved(&[]).is_empty());
}

#[test]
fn a_time_and_its_instant_agree() {
    let before = clock::now();
    let due = clock::instant_of(before.saturating_add(Duration::from_secs(1))).unwrap();
    let left = due.saturating_duration_since(clock::instant());
    assert!(
        left <= Duration::from_secs(1) && left > Duration::from_millis(500),
        "{left:?}"
    );
    assert_eq!(clock::instant_of(Time::MAX), None);
}
