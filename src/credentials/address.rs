//! Checks the URLs to which a source may send requests.

use super::errors::config;
use crate::Error;
use http::{Uri, uri::Scheme};
use unifiedai_transport::{is_link_local_service, is_loopback};

/// Requires `https`, except for this machine and for the metadata services of clouds.
pub(super) fn check(uri: &Uri) -> Result<(), Error> {
    let host = uri.host().unwrap_or_default();
    if host.is_empty() {
        return Err(config("an address without a host"));
    }
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(config(format!(
            "the address of {host} has a user name in it, which is not sent"
        )));
    }
    let is_allowed = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => is_loopback(host) || is_link_local_service(host),
        _ => false,
    };
    match is_allowed {
        true => Ok(()),
        false => Err(config(format!(
            "{host} may only be asked over https: plain http is for this machine and for the metadata services of clouds"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_this_machine_and_to_metadata_services_alone() {
        for url in [
            "https://sts.eu-west-1.amazonaws.com/",
            "http://127.0.0.1:8080/x",
            "http://[::1]/",
            "http://localhost:40342/metadata",
            "http://169.254.169.254/latest/api/token",
            "http://[fd00:ec2::254]/latest",
            "http://169.254.170.2/v2/credentials",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://169.254.131.4:8081/msi/token",
        ] {
            assert!(check(&url.parse().unwrap()).is_ok(), "{url}");
        }
        for url in [
            "http://sts.eu-west-1.amazonaws.com/",
            "http://10.0.0.1/",
            "http://192.168.0.1/v1/credentials",
            "http://[fd00:ec2::1:254]/",
            "http://169.254.example/",
            "http://metadata.google.internal.evil.example/",
            "http://127.0.0.1.evil.example/",
            "http://evil.example/169.254.169.254",
            "https://user:canary@host.example/",
            "http://169.254.169.254@evil.example/",
            "/latest",
        ] {
            let error = check(&url.parse().unwrap()).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
