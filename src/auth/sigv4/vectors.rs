//! Test vectors: published signatures, and signatures made with botocore.

use super::{
    AwsCredentials, Signer,
    canonical::{CanonicalRequest, Signable},
    hex,
    signature::{scope, sign, string_to_sign},
    signer::{host, is_signed},
    testing::{EXAMPLE_SECONDS, at, example_credentials},
    timestamp::Timestamp,
};
use crate::auth::Secret;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

struct Signed {
    canonical: String,
    to_sign: String,
    authorization: String,
}

fn sign_all(
    parts: &Signable<'_>,
    credentials: &AwsCredentials,
    region: &str,
    service: &str,
    wall: SystemTime,
) -> Signed {
    let time = Timestamp::new(wall).unwrap();
    let token = credentials.session_token.as_ref().map(Secret::expose);
    let canonical = CanonicalRequest::new(parts, |_| true, &time, token);
    let to_sign = string_to_sign(&canonical, &time, &scope(&time, region, service));
    let signature = sign(parts, |_| true, credentials, region, service, wall).unwrap();
    Signed {
        canonical: String::from_utf8(canonical.text.to_vec()).unwrap(),
        to_sign,
        authorization: signature.authorization.to_str().unwrap().to_owned(),
    }
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                value.parse::<HeaderValue>().unwrap(),
            )
        })
        .collect()
}

#[test]
fn the_signing_guides_example() {
    let headers = header_map(&[(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    )]);
    let parts = Signable {
        method: &Method::GET,
        host: b"iam.amazonaws.com",
        path: "/",
        query: "Action=ListUsers&Version=2010-05-08",
        headers: &headers,
        payload: b"",
        is_s3: false,
    };
    let signed = sign_all(
        &parts,
        &example_credentials(),
        "us-east-1",
        "iam",
        at(EXAMPLE_SECONDS),
    );
    assert_eq!(
        signed.to_sign,
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
         f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
    );
    assert_eq!(
        signed.authorization,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn the_published_test_suite() {
    const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    let letters = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let same = format!("{0}={0}", &letters[1..]);
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let form: Headers<'_> = &[("content-type", "application/x-www-form-urlencoded")];
    let cases: &[(&str, &str, &str, Headers<'_>, &str, &str)] = &[
        ("GET", "/", "", &[], "", VANILLA),
        ("GET", "//", "", &[], "", VANILLA),
        ("GET", "/./", "", &[], "", VANILLA),
        ("GET", "/example/..", "", &[], "", VANILLA),
        ("GET", "/example1/example2/../..", "", &[], "", VANILLA),
        (
            "GET",
            letters,
            "",
            &[],
            "",
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "GET",
            "/\u{1234}",
            "",
            &[],
            "",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "GET",
            "/example space/",
            "",
            &[],
            "",
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        (
            "GET",
            "/",
            &same,
            &[],
            "",
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        (
            "GET",
            "/",
            "Param2=value2&Param1=value1",
            &[],
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "GET",
            "/",
            "",
            &[
                ("my-header1", "value2"),
                ("my-header1", "value2"),
                ("my-header1", "value1"),
            ],
            "",
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "GET",
            "/",
            "",
            &[("my-header1", "value1"), ("my-header2", "\"a   b   c\"")],
            "",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "POST",
            "/",
            "",
            &[],
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "POST",
            "/",
            "",
            form,
            "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ];
    for (method, path, query, headers, payload, signature) in cases {
        let parts = Signable {
            method: &method.parse().unwrap(),
            host: b"example.amazonaws.com",
            path,
            query,
            headers: &header_map(headers),
            payload: payload.as_bytes(),
            is_s3: false,
        };
        let signed = sign_all(
            &parts,
            &example_credentials(),
            "us-east-1",
            "service",
            at(EXAMPLE_SECONDS),
        );
        assert!(
            signed.authorization.ends_with(signature),
            "{method} {path} {query} {}",
            signed.canonical
        );
    }
}

/// Made with botocore; they are not part of the repository.
#[test]
#[allow(clippy::disallowed_methods, reason = "says where the vectors are")]
fn botocore_vectors() {
    let shared = std::env::var("UNIFIEDAI_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").to_owned());
    let path = std::path::Path::new(&shared).join("wire/sigv4_vectors.json");
    let Ok(text) = std::fs::read(&path) else {
        println!("skipped: no SigV4 vectors at {}", path.display());
        return;
    };
    let vectors: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    assert!(!vectors.is_empty());
    for vector in &vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let uri: Uri = text("url").parse().unwrap();
        let mut request = Request::new(Bytes::copy_from_slice(
            vector["body"].as_str().unwrap_or("").as_bytes(),
        ));
        *request.method_mut() = text("method").parse().unwrap();
        for (name, value) in vector["headers"].as_object().unwrap() {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            request
                .headers_mut()
                .insert(name.parse::<HeaderName>().unwrap(), value);
        }
        *request.uri_mut() = uri.clone();
        let token = vector["session_token"].as_str().map(str::to_owned);
        let credentials =
            AwsCredentials::new(text("access_key"), text("secret_key"), token).unwrap();
        let wall = parse_date(text("amz_date"));

        let parts = Signable {
            method: request.method(),
            host: &host(&request).unwrap(),
            path: uri.path(),
            query: uri.query().unwrap_or(""),
            headers: request.headers(),
            payload: request.body(),
            is_s3: false,
        };
        let signed = sign_all(&parts, &credentials, text("region"), text("service"), wall);
        assert_eq!(
            signed.canonical,
            text("canonical_request"),
            "{}",
            text("name")
        );
        assert_eq!(signed.to_sign, text("string_to_sign"), "{}", text("name"));
        assert_eq!(
            signed.authorization,
            text("authorization"),
            "{}",
            text("name")
        );

        let signer = Signer::new(credentials, text("region"), text("service")).unwrap();
        signer.apply(&mut request, wall).unwrap();
        if request
            .headers()
            .keys()
            .all(|name| *name == AUTHORIZATION || is_signed(name))
        {
            assert_eq!(
                request.headers()[AUTHORIZATION],
                text("authorization"),
                "{}",
                text("name")
            );
        }
    }
    println!("{} SigV4 vectors", vectors.len());
}

/// The inverse of [`Timestamp`], by search.
fn parse_date(text: &str) -> SystemTime {
    let (mut low, mut high) = (0, 253_402_300_800);
    while low + 1 < high {
        let middle = (low + high) / 2;
        match Timestamp::new(at(middle)).unwrap().text.as_str() <= text {
            true => low = middle,
            false => high = middle,
        }
    }
    assert_eq!(Timestamp::new(at(low)).unwrap().text, text);
    at(low)
}

/// The examples of "Signature Calculations for the Authorization Header" in the API reference of Amazon S3.
#[test]
fn the_published_examples_of_s3() {
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let keys = AwsCredentials::new(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        None,
    )
    .unwrap();
    let put = "Welcome to Amazon S3.";
    let put_hash = hex(&Sha256::digest(put));
    let put_headers = [
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("x-amz-content-sha256", &*put_hash),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let get_headers = [("x-amz-content-sha256", EMPTY)];
    for (method, path, query, headers, payload, signature) in [
        (
            Method::PUT,
            "/test%24file.text",
            "",
            &put_headers[..],
            put,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            Method::GET,
            "/",
            "lifecycle",
            &get_headers[..],
            "",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            Method::GET,
            "/",
            "max-keys=2&prefix=J",
            &get_headers[..],
            "",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let parts = Signable {
            method: &method,
            host: b"examplebucket.s3.amazonaws.com",
            path,
            query,
            headers: &map,
            payload: payload.as_bytes(),
            is_s3: true,
        };
        // 24 May 2013, 0:00.
        let signed = sign_all(&parts, &keys, "us-east-1", "s3", at(1_369_353_600));
        assert!(
            signed.authorization.ends_with(signature),
            "{path}: {}",
            signed.authorization
        );
    }
}
