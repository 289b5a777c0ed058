//! The part of Amazon S3 that batches need: URIs, and requests for one object or for a list of objects.
//!
//! Source: the API reference of Amazon S3, API version 2006-03-01.

use super::endpoint::{self, Variant};
use crate::{
    Error, ErrorKind,
    auth::sigv4::SignedForS3,
    codec::{
        percent::{SEGMENT, encode_into, encode_segment},
        rfc3339::rfc3339,
    },
    provider::{Auth, BaseUrl, EncodedCall, Framing, ProviderCore, kit::object_uri::ObjectUri},
    provider_batch::StoredFile,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header};
use percent_encoding::AsciiSet;
use serde::Deserialize;
use std::time::SystemTime;
use unifiedai_transport::RequestBody;

/// Parses the URI of an object or a folder.
pub(super) fn parse_uri(text: &str) -> Result<ObjectUri, Error> {
    ObjectUri::parse("s3", text)
}

/// The hosts of S3 in one region, or another server that has its API.
#[derive(Clone, Debug)]
pub(super) struct S3 {
    host: BaseUrl,
    /// Whether the bucket is a part of the path instead of the host name.
    is_path_style: bool,
}

impl S3 {
    pub(super) fn new(
        core: &ProviderCore,
        region: &str,
        variant: Variant,
        endpoint: Option<&str>,
    ) -> Result<Self, Error> {
        let host = match endpoint {
            Some(url) => core.other_url(url)?,
            None => endpoint::service_url("s3", region, variant)?,
        };
        Ok(S3 {
            host,
            is_path_style: endpoint.is_some(),
        })
    }

    /// A bucket with a dot in its name has no host name that the certificate of S3 covers.
    fn url(&self, bucket: &str, path: &str) -> Result<Uri, Error> {
        if self.is_path_style || bucket.contains('.') {
            return self.host.join(&["/", bucket, path].concat());
        }
        let host = self
            .host
            .as_str()
            .replacen("://", &["://", bucket, "."].concat(), 1);
        BaseUrl::parse(&host)?.join(path)
    }

    /// A request for one object.
    pub(super) fn object(
        &self,
        core: &ProviderCore,
        method: Method,
        uri: &ObjectUri,
        body: RequestBody,
    ) -> Result<EncodedCall, Error> {
        uri.check_object()?;
        let mut path = b"/".to_vec();
        encode_into(uri.key.as_bytes(), KEY, &mut path);
        let path = String::from_utf8(path).map_err(|_| invalid("the key is not a path".into()))?;
        self.call(core, method, self.url(&uri.bucket, &path)?, body)
    }

    /// A request for one page of the objects in a folder.
    pub(super) fn list(
        &self,
        core: &ProviderCore,
        folder: &ObjectUri,
        page: Option<&str>,
    ) -> Result<EncodedCall, Error> {
        let mut query = "/?list-type=2".to_owned();
        for (name, value) in [
            ("&prefix=", Some(&*folder.key)),
            ("&continuation-token=", page),
        ] {
            if let Some(value) = value.and_then(encode_segment) {
                query.push_str(name);
                query.push_str(&value);
            }
        }
        let uri = self.url(&folder.bucket, &query)?;
        self.call(core, Method::GET, uri, RequestBody::default())
    }

    fn call(
        &self,
        core: &ProviderCore,
        method: Method,
        uri: Uri,
        body: RequestBody,
    ) -> Result<EncodedCall, Error> {
        // A key of Bedrock is of no use to S3, so it is not sent there.
        if matches!(core.auth(), Auth::Bearer(_) | Auth::Header(..)) {
            return Err(invalid(format!(
                "the files of batches are in S3, which takes no Bedrock API key: give the builder of `{}` AWS credentials",
                core.name()
            )));
        }
        let accept = HeaderValue::from_static("*/*");
        let mut request = core
            .request(method, uri, Bytes::new(), accept)
            .map(|_| body);
        request.extensions_mut().insert(SignedForS3);
        Ok(EncodedCall::new(request).framing(Framing::Raw))
    }
}

/// All bytes of a key but the unreserved ones and the slash.
const KEY: &AsciiSet = &SEGMENT.remove(b'/');

/// A page of objects, and the token of the next page.
pub(super) fn read_list(
    folder: &ObjectUri,
    body: &[u8],
) -> Result<(Vec<StoredFile>, Option<String>), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listing {
        #[serde(default)]
        contents: Vec<Object>,
        #[serde(default)]
        next_continuation_token: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Object {
        key: String,
        #[serde(default)]
        size: Option<u64>,
        #[serde(default)]
        last_modified: Option<String>,
    }
    let unreadable = |what: String| {
        Error::new(
            ErrorKind::Protocol,
            format!("the body from S3 is not a list of objects: {what}"),
        )
    };
    let text = std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    let listing: Listing =
        quick_xml::de::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let objects = listing.contents.into_iter().map(|object| {
        let since = |date: &str| rfc3339(date)?.duration_since(SystemTime::UNIX_EPOCH).ok();
        StoredFile {
            name: object.key.rsplit('/').next().map(str::to_owned),
            bytes: object.size,
            created_at: object
                .last_modified
                .as_deref()
                .and_then(since)
                .map(|since| since.as_secs()),
            id: folder.with_key(object.key).to_string(),
            ..StoredFile::default()
        }
    });
    let next = listing
        .next_continuation_token
        .filter(|token| !token.is_empty());
    Ok((objects.collect(), next))
}

/// Sets the media type of an upload.
pub(super) fn set_media_type(call: &mut EncodedCall, media_type: &str) -> Result<(), Error> {
    let value = HeaderValue::from_str(media_type).map_err(|_| {
        invalid(format!(
            "`{}` is not a media type",
            media_type.escape_debug()
        ))
    })?;
    call.request
        .headers_mut()
        .insert(header::CONTENT_TYPE, value);
    Ok(())
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{AwsCredentials, Bedrock};

    fn core() -> ProviderCore {
        let keys = AwsCredentials::new("AKIDEXAMPLE", "secret", None).unwrap();
        let builder = Bedrock::builder().region("eu-west-1").credentials(keys);
        builder.build().unwrap().core
    }

    #[test]
    fn the_bucket_is_in_the_host_where_a_certificate_covers_it() {
        let core = core();
        let own = S3::new(&core, "eu-west-1", Variant::default(), None).unwrap();
        let other = S3::new(
            &core,
            "eu-west-1",
            Variant::default(),
            Some("http://127.0.0.1:9/s3"),
        );
        let other = other.unwrap();
        for (s3, uri, expected) in [
            (
                &own,
                "s3://bucket/a b/c:d",
                "https://bucket.s3.eu-west-1.amazonaws.com/a%20b/c%3Ad",
            ),
            (
                &own,
                "s3://my.bucket/k",
                "https://s3.eu-west-1.amazonaws.com/my.bucket/k",
            ),
            (&other, "s3://bucket/k", "http://127.0.0.1:9/s3/bucket/k"),
        ] {
            let uri = parse_uri(uri).unwrap();
            let call = s3
                .object(&core, Method::GET, &uri, RequestBody::default())
                .unwrap();
            assert_eq!(call.request.uri(), expected);
        }
        let folder = parse_uri("s3://bucket/out").unwrap().folder();
        let call = own.list(&core, &folder, Some("t=1")).unwrap();
        assert_eq!(
            call.request.uri(),
            "https://bucket.s3.eu-west-1.amazonaws.com/?list-type=2&prefix=out%2F&continuation-token=t%3D1"
        );
        assert!(
            own.object(&core, Method::GET, &folder, RequestBody::default())
                .is_err()
        );
    }

    #[test]
    fn lists_are_read() {
        let folder = parse_uri("s3://bucket/o/").unwrap();
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>o/</Prefix>\
            <Contents><Key>o/a&amp;b.jsonl.out</Key><LastModified>2026-08-10T00:00:01.000Z</LastModified>\
            <ETag>&quot;e&quot;</ETag><Size>12</Size><Owner><ID>x</ID></Owner></Contents>\
            <Contents><Key>o/manifest.json.out</Key></Contents>\
            <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        let (objects, next) = read_list(&folder, body.as_bytes()).unwrap();
        assert_eq!(next.as_deref(), Some("t"));
        let [first, second] = &objects[..] else {
            panic!("{objects:?}");
        };
        assert_eq!(first.id, "s3://bucket/o/a&b.jsonl.out");
        assert_eq!(
            (first.bytes, first.created_at),
            (Some(12), Some(1_786_320_001))
        );
        assert_eq!(second.name.as_deref(), Some("manifest.json.out"));
        let empty = read_list(&folder, b"<ListBucketResult/>").unwrap();
        assert_eq!(empty, (Vec::new(), None));
        for body in [
            &b"{}"[..],
            b"",
            b"<ListBucketResult><Contents></ListBucketResult>",
            b"\xff",
        ] {
            let error = read_list(&folder, body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{body:?}");
        }
    }
}
