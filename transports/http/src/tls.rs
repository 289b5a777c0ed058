//! TLS configuration: trusted roots, the client's own certificate.

use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// rustls with ring and Mozilla's roots.
#[expect(
    clippy::expect_used,
    reason = "ring has cipher suites for both versions of TLS"
)]
#[must_use]
pub fn default_config() -> Arc<ClientConfig> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("a usable provider")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
