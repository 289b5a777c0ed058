//! TLS configuration: trusted roots and client certificate.

use crate::options::{ConfigError, Options};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, client::WantsClientCert,
    crypto::CryptoProvider, pki_types::CertificateDer,
};
use std::sync::Arc;

/// Creates a rustls configuration with ring and the options' roots and client certificate. The default is Mozilla's
/// roots and no client certificate.
///
/// # Errors
/// If the options contradict each other, or a certificate or a key is invalid.
pub fn config(options: &Options) -> Result<Arc<ClientConfig>, ConfigError> {
    if let Some(config) = &options.tls {
        if !options.extra_roots.is_empty() || options.client_certificate.is_some() {
            return Err(ConfigError::new(
                "tls: a configuration of the caller's own excludes extra roots and a client certificate: put them into it",
            ));
        }
        return Ok(Arc::clone(config));
    }
    let failed = |error: rustls::Error| ConfigError::new(format!("TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = verified(builder, provider, options)?;
    let config = match options.client_certificate.as_deref() {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(|error| ConfigError::new(format!("client_certificate: {error}")))?,
    };
    Ok(Arc::new(config))
}

fn verified(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    provider: Arc<CryptoProvider>,
    options: &Options,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ConfigError> {
    #[cfg(feature = "platform-verifier")]
    if options.platform_roots {
        let extra = options.extra_roots.iter().cloned();
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)
            .map_err(|error| ConfigError::new(format!("platform_roots: {error}")))?;
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier)));
    }
    drop(provider);
    Ok(builder.with_root_certificates(roots(&options.extra_roots)?))
}

fn roots(extra: &[CertificateDer<'static>]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for certificate in extra {
        let added = roots.add(certificate.clone());
        added.map_err(|error| ConfigError::new(format!("extra_roots: {error}")))?;
    }
    Ok(roots)
}
