//! Compares `Signer` with `aws-sigv4`, on random requests.

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use std::time::{Duration, UNIX_EPOCH};
use unifiedai::{provider::{AwsCredentials, Signer}, codec::percent::encode_segment};
use unifiedai_oracles::{Rng, cases, rng};

const VISIBLE: &str = "ABCXYZabcxyz0189+/=-._~!$&'()*,;:@";
const ANY: &str = "ABCabc019-._~ :/?#[]@!$&'()*+,;=%\"<>\\^`{|}é\u{1F980}";

fn path(rng: &mut Rng) -> String {
    let mut path = String::new();
    for _ in 0..=rng.below(4) {
        path.push('/');
        match rng.below(8) {
            0 => path.push_str(&rng.text(":@!$&'()*+,;=-._~aZ0", 8)),
            1 => path.push_str(rng.pick(&["", "..", ".", "model"])),
            _ => path.extend(encode_segment(&rng.text(ANY, 20))),
        }
    }
    path
}

fn query(rng: &mut Rng) -> String {
    let pairs = (0..rng.below(5)).filter_map(|_| {
        let name = encode_segment(&rng.text(ANY, 6))?;
        let value = encode_segment(&rng.text(ANY, 10)).unwrap_or_default();
        Some(format!("{name}={value}"))
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn request(rng: &mut Rng) -> Request<Bytes> {
    let host = rng.pick(&[
        "bedrock.us-east-1.amazonaws.com",
        "localhost:8443",
        "h.example:443",
        "[::1]:9",
    ]);
    let (path, query) = (path(rng), query(rng));
    let query = if query.is_empty() {
        query
    } else {
        format!("?{query}")
    };
    let mut request = Request::builder()
        .method(rng.pick(&["GET", "POST", "PUT", "DELETE"]))
        .uri(format!("https://{host}{path}{query}"))
        .body(Bytes::from(rng.bytes(300)))
        .unwrap();
    for _ in 0..rng.below(5) {
        let name = rng.pick(&[
            "content-type",
            "x-amz-a",
            "x-amz-b",
            "x-amzn-bedrock-trace",
            "x-amz-z-1",
        ]);
        let value = HeaderValue::from_str(&rng.text("ab  \"=;/,", 12)).unwrap();
        request
            .headers_mut()
            .append(HeaderName::from_static(name), value);
    }
    request
}

#[test]
fn random_requests_have_equal_signatures() {
    let mut rng = rng();
    for case in 0..cases() {
        let mut request = request(&mut rng);
        let access = format!("AKID{}", rng.text("ABCXYZ0189", 16));
        let secret = format!("s{}", rng.text(VISIBLE, 60));
        let token = (rng.below(2) == 0).then(|| format!("t{}", rng.text(VISIBLE, 200)));
        let region = rng.pick(&["us-east-1", "eu-central-1", "us-gov-west-1"]);
        let wall = UNIX_EPOCH + Duration::from_secs(rng.below(4_000_000_000) as u64);

        let identity: Identity =
            Credentials::from_keys(access.clone(), secret.clone(), token.clone()).into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("bedrock")
            .time(wall)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(request.body()),
        )
        .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut expected = Request::new(());
        *expected.headers_mut() = request.headers().clone();
        instructions.apply_to_request_http1x(&mut expected);

        let credentials = AwsCredentials::new(access, secret, token).unwrap();
        let signer = Signer::new(credentials, region, "bedrock").unwrap();
        signer.apply(&mut request, wall).unwrap();
        assert_eq!(
            request.headers(),
            expected.headers(),
            "case {case}: {request:?}"
        );
    }
    println!("{} requests signed alike", cases());
}
