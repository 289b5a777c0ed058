//! Where requests go that can share a connection.

use crate::{Target, error, target};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};
use unifiedai_transport::TransportError;

/// The beginning of an address, and what is made of it once for all requests.
pub(crate) struct Origin {
    tls: bool,
    authority: Authority,
    pub(crate) target: Target,
    /// What HTTP/1.1 calls it.
    name: HeaderValue,
}

/// Room for what hyper and this add, and so for the headers of a short answer: it is read into the map that the request was
/// written from, and a map that grows is filled anew.
const HEADERS: usize = 4;

impl Origin {
    /// # Errors
    /// If the address has no host or a scheme other than `http` and `https`.
    pub(crate) fn of(uri: &Uri) -> Result<Origin, TransportError> {
        let target = Target::of(uri)?;
        let authority = uri.authority().cloned();
        let authority = authority.ok_or_else(|| error::unsendable("no host"))?;
        let name = target::name(&authority, target.tls)?;
        Ok(Origin {
            tls: target.tls,
            authority,
            target,
            name,
        })
    }

    /// Whether an address begins like this one, letter for letter. One that means the same may not.
    pub(crate) fn begins(&self, uri: &Uri) -> bool {
        let scheme = if self.tls {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        uri.scheme() == Some(&scheme)
            && uri.authority().map(Authority::as_str) == Some(self.authority.as_str())
    }

    /// Leaves the request as it goes over HTTP/1.1: a path, and the host in a header of its own.
    pub(crate) fn name_itself(&self, request: &mut Request<Bytes>) {
        let uri = std::mem::take(request.uri_mut()).into_parts();
        *request.uri_mut() = uri.path_and_query.map_or_else(Uri::default, Uri::from);
        request.headers_mut().reserve(HEADERS);
        let host = request.headers_mut().entry(HOST);
        host.or_insert_with(|| self.name.clone());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn sent(uri: &'static str) -> (Target, String, String) {
        let uri = Uri::from_static(uri);
        let origin = Origin::of(&uri).unwrap();
        assert!(origin.begins(&uri));
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        origin.name_itself(&mut request);
        let host = request.headers()[HOST].to_str().unwrap().to_owned();
        (origin.target, host, request.uri().to_string())
    }

    #[test]
    fn a_request_goes_out_with_a_path_and_a_host() {
        let (target, host, uri) = sent("https://a.example/v1/chat?x=1");
        assert_eq!(target, Target::new(true, "a.example", 443));
        assert_eq!((&*host, &*uri), ("a.example", "/v1/chat?x=1"));

        let (target, host, uri) = sent("http://[::1]:8080");
        assert_eq!(target, Target::new(false, "::1", 8080));
        assert_eq!((&*host, &*uri), ("[::1]:8080", "/"));

        let (target, host, _) = sent("https://user@a.example:443/");
        assert_eq!(target, Target::new(true, "a.example", 443));
        assert_eq!(host, "a.example");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = Origin::of(&Uri::from_static("https://a.example/x")).unwrap();
        assert!(origin.begins(&Uri::from_static("https://a.example/y?z")));
        for other in [
            "http://a.example/x",
            "https://b.example/x",
            "https://a.example:8443/x",
            "/x",
        ] {
            assert!(!origin.begins(&Uri::from_static(other)), "{other}");
        }
    }
}
