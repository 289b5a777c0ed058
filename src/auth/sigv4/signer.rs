//! Signs requests: what the signature covers, and which headers it adds.

use super::{
    S3, SignedForS3, UnsignedBody,
    canonical::{CONTENT_HASH, DATE, SECURITY_TOKEN, Signable},
    credentials::AwsCredentialSource,
    hex,
    signature::{presign, sign},
};
use crate::{
    Error, ErrorKind,
    auth::Secret,
    credentials::{Credentials, Token, errors::config},
};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    uri::Scheme,
};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, time::SystemTime};

/// Signs requests to one service in one region.
#[derive(Clone, Debug)]
pub struct Signer {
    credentials: AwsCredentialSource,
    region: String,
    service: String,
}

impl Signer {
    /// Creates a signer for a region such as `us-east-1` and a service by its signing name, which is `bedrock` for
    /// Bedrock's runtime.
    ///
    /// # Errors
    /// `invalid_request` if region or service contain anything except letters, digits and hyphens.
    pub fn new(
        credentials: impl Into<AwsCredentialSource>,
        region: impl Into<String>,
        service: impl Into<String>,
    ) -> Result<Signer, Error> {
        let (region, service) = (region.into(), service.into());
        for (name, value) in [("region", &region), ("service", &service)] {
            if value.is_empty()
                || value.len() > 63
                || !value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "the AWS {name} must be 1 to 63 letters, digits and hyphens, such as `us-east-1`"
                    ),
                ));
            }
        }
        Ok(Signer {
            credentials: credentials.into(),
            region,
            service,
        })
    }

    /// Signs a request that is about to be sent at `wall`, and replaces an earlier signature. Adds `authorization`,
    /// `x-amz-date` and, for temporary credentials, `x-amz-security-token`. Returns the most sensitive secret of the
    /// request, so that it can be removed from the response.
    ///
    /// The signature covers the method, the path and query, the body, and the headers `host`, `content-type` and
    /// `x-amz*`. A transport or a proxy may change other headers without invalidating it.
    ///
    /// # Errors
    /// `invalid_request` if the URL has no host or `wall` is before 1970 or after 9999; and any error of the
    /// credentials callback.
    pub fn apply(&self, request: &mut Request<Bytes>, wall: SystemTime) -> Result<Secret, Error> {
        self.apply_token(request, wall, None)
    }

    /// The credentials that have to be fetched before a request is signed.
    pub(crate) fn fetched(&self) -> Option<&Credentials> {
        match &self.credentials {
            AwsCredentialSource::Fetched(credentials) => Some(credentials),
            _ => None,
        }
    }

    /// The same with the token that was fetched for this request, if the credentials are fetched.
    pub(crate) fn apply_token(
        &self,
        request: &mut Request<Bytes>,
        wall: SystemTime,
        token: Option<&Token>,
    ) -> Result<Secret, Error> {
        let credentials = match &self.credentials {
            AwsCredentialSource::Fixed(credentials) => credentials.clone(),
            AwsCredentialSource::Callback(ask) => ask()?,
            AwsCredentialSource::Fetched(source) => {
                token.and_then(Token::as_aws).cloned().ok_or_else(|| {
                    config(format!(
                        "{} gives no AWS keys, which a signature needs",
                        source.name()
                    ))
                })?
            }
        };
        let is_s3 = request.extensions().get::<SignedForS3>().is_some();
        let service = if is_s3 { S3 } else { &self.service };
        if is_s3 {
            let hash = match request.extensions().get::<UnsignedBody>() {
                Some(_) => HeaderValue::from_static("UNSIGNED-PAYLOAD"),
                None => HeaderValue::from_str(&hex(&Sha256::digest(request.body())))
                    .map_err(|_| config("the hash of the body is not a valid header value"))?,
            };
            request.headers_mut().insert(CONTENT_HASH, hash);
        }
        let host = host(request)?;
        let parts = Signable {
            method: request.method(),
            host: &host,
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            headers: request.headers(),
            payload: request.body(),
            is_s3,
        };
        let signature = sign(&parts, is_signed, &credentials, &self.region, service, wall)?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, signature.authorization);
        headers.insert(DATE, signature.date);
        match signature.security_token {
            Some(token) => headers.insert(SECURITY_TOKEN, token),
            None => headers.remove(SECURITY_TOKEN),
        };
        Ok(credentials.session_token.unwrap_or(credentials.secret_key))
    }
}

impl Signer {
    /// The query of a URL that is a signed `POST` without a body to `host`: `query`, followed by the parameters of the signature.
    pub(crate) fn presigned_query(
        &self,
        host: &str,
        query: &str,
        wall: SystemTime,
        lifetime: std::time::Duration,
    ) -> Result<String, Error> {
        let AwsCredentialSource::Fixed(credentials) = &self.credentials else {
            return Err(config("only keys that are there can sign a URL"));
        };
        presign(
            host,
            query,
            credentials,
            (&self.region, &self.service),
            wall,
            lifetime,
        )
    }
}

/// The value of the `host` header: it contains a port only if the scheme does not imply it.
pub(super) fn host(request: &Request<Bytes>) -> Result<Cow<'_, [u8]>, Error> {
    if let Some(host) = request.headers().get(HOST) {
        return Ok(Cow::Borrowed(host.as_bytes()));
    }
    let uri: &Uri = request.uri();
    let host = uri.host().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            "the request's URL has no host, so it cannot be signed",
        )
    })?;
    let implied = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        _ => 443,
    };
    Ok(match uri.port_u16() {
        Some(port) if port != implied => Cow::Owned(format!("{host}:{port}").into_bytes()),
        _ => Cow::Borrowed(host.as_bytes()),
    })
}

/// Load balancers rewrite `x-amzn-trace-id`.
pub(super) fn is_signed(name: &HeaderName) -> bool {
    // The last one names for whom a signed request is that Google passes on to AWS.
    *name == CONTENT_TYPE
        || (name.as_str().starts_with("x-amz") && name != "x-amzn-trace-id")
        || name == "x-goog-cloud-target-resource"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::sigv4::{
        AwsCredentials,
        testing::{EXAMPLE_SECONDS, at, example_credentials, request},
    };
    use std::sync::Arc;

    #[test]
    fn signing_again_replaces_the_signature() {
        let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%3A0/converse";
        let temporary = AwsCredentials::new("AKID", "canary", Some("token".to_owned())).unwrap();
        let first = Signer::new(temporary, "us-east-1", "bedrock").unwrap();
        let second = Signer::new(example_credentials(), "us-east-1", "bedrock").unwrap();
        let (mut twice, mut once) = (request(url), request(url));
        assert_eq!(first.apply(&mut twice, at(1)).unwrap().expose(), "token");
        assert_eq!(twice.headers()[SECURITY_TOKEN], "token");
        second.apply(&mut twice, at(EXAMPLE_SECONDS)).unwrap();
        second.apply(&mut once, at(EXAMPLE_SECONDS)).unwrap();
        assert_eq!(twice.headers(), once.headers());
    }

    #[test]
    fn a_request_for_s3_is_signed_for_s3_with_the_hash_of_its_body() {
        let signer = Signer::new(example_credentials(), "us-east-1", "bedrock").unwrap();
        let mut request = request("https://b.s3.us-east-1.amazonaws.com/a%3Ab//c");
        request.extensions_mut().insert(SignedForS3);
        signer.apply(&mut request, at(EXAMPLE_SECONDS)).unwrap();
        let headers = request.headers();
        let authorization = headers[AUTHORIZATION].to_str().unwrap();
        assert!(authorization.contains("/us-east-1/s3/aws4_request, "));
        assert!(authorization.contains("host;x-amz-content-sha256;x-amz-date"));
        assert_eq!(headers[CONTENT_HASH], hex(&Sha256::digest("{}")));
    }

    #[test]
    fn a_streamed_body_for_s3_is_not_signed() {
        let signer = Signer::new(example_credentials(), "us-east-1", "bedrock").unwrap();
        let signed = |body: &'static str, is_streamed: bool| {
            let mut request =
                request("https://b.s3.us-east-1.amazonaws.com/a").map(|_| body.into());
            request.extensions_mut().insert(SignedForS3);
            if is_streamed {
                request.extensions_mut().insert(UnsignedBody);
            }
            signer.apply(&mut request, at(EXAMPLE_SECONDS)).unwrap();
            request.headers().clone()
        };
        assert_eq!(signed("x", true)[CONTENT_HASH], "UNSIGNED-PAYLOAD");
        let signature = |body, is_streamed| signed(body, is_streamed)[AUTHORIZATION].clone();
        assert_eq!(signature("x", true), signature("y", true));
        assert_ne!(signature("x", true), signature("x", false));
    }

    #[test]
    fn headers_that_intermediaries_rewrite_are_not_signed() {
        let mut request = request("https://host.example:8443/");
        for name in [
            "user-agent",
            "accept-encoding",
            "content-length",
            "traceparent",
            "x-amzn-trace-id",
        ] {
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        request
            .headers_mut()
            .insert("x-amzn-bedrock-trace", HeaderValue::from_static("ENABLED"));
        let signer = Signer::new(example_credentials(), "us-east-1", "bedrock").unwrap();
        signer.apply(&mut request, at(0)).unwrap();
        let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert!(
            authorization
                .contains(" SignedHeaders=content-type;host;x-amz-date;x-amzn-bedrock-trace, ")
        );
    }

    #[test]
    fn signed_host_equals_the_sent_host() {
        for (url, expected) in [
            ("https://h.example/", "h.example"),
            ("https://h.example:443/", "h.example"),
            ("https://h.example:80/", "h.example:80"),
            ("http://h.example:80/", "h.example"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(&*host(&request(url)).unwrap(), expected.as_bytes());
        }
        let mut request = request("http://127.0.0.1:8080/");
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("other.example"));
        assert_eq!(&*host(&request).unwrap(), b"other.example");
        let signer = Signer::new(example_credentials(), "us-east-1", "bedrock").unwrap();
        let mut nowhere = Request::new(Bytes::new());
        assert_eq!(
            signer.apply(&mut nowhere, at(0)).unwrap_err().kind(),
            ErrorKind::InvalidRequest
        );
    }

    #[test]
    fn region_must_be_one_label() {
        for region in [
            "",
            "us-east-1/x",
            "us east",
            "us.east",
            "a\n",
            &"a".repeat(64),
        ] {
            let error = Signer::new(example_credentials(), region, "bedrock").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
    }

    #[test]
    fn credentials_callback_runs_for_each_attempt() {
        let ask = AwsCredentialSource::Callback(Arc::new(|| {
            Err(Error::new(ErrorKind::InvalidRequest, "expired"))
        }));
        let signer = Signer::new(ask, "us-east-1", "bedrock").unwrap();
        let error = signer
            .apply(&mut request("https://host.example/"), at(0))
            .unwrap_err();
        assert_eq!(error.message(), "expired");
    }
}
