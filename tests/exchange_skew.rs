//! Signatures that are too early or too late because of the local clock.
#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use std::{sync::Arc, time::SystemTime};
use unifiedai::{
    ErrorKind,
    provider::{Auth, AwsCredentials, OpenAiChat, Provider, Signer},
};

fn signed() -> Arc<dyn Provider> {
    let credentials = AwsCredentials::new("AKIDEXAMPLE", "secret", None).unwrap();
    let signer = Signer::new(credentials, "us-east-1", "bedrock").unwrap();
    let provider = OpenAiChat::custom("https://bedrock.test/v1").auth(Auth::SigV4(signer));
    Arc::new(provider.build().unwrap())
}

const REFUSED: &str =
    r#"{"__type":"InvalidSignatureException","message":"Signature expired: 20231114T221320Z"}"#;

/// Sends a request that is refused with this server time (seconds from ours). Returns the date of the second
/// signature, if there is one.
fn refused_at(provider: Arc<dyn Provider>, ahead: i64) -> (Call, Option<String>) {
    let mut call = Call::new(provider, request(false), once());
    let date = (SystemTime::UNIX_EPOCH + WALL)
        .checked_add(seconds(ahead.max(0).unsigned_abs()))
        .and_then(|date| date.checked_sub(seconds(ahead.min(0).unsigned_abs())))
        .unwrap();
    let date = httpdate::fmt_http_date(date);
    call.answer(403, &[JSON, ("date", &date)], REFUSED);
    let again = match call.step() {
        unifiedai::sans_io::Step::Send { request, .. } => {
            request.headers().get("x-amz-date").cloned()
        }
        _ => None,
    };
    let again = again.map(|date| date.to_str().unwrap().to_owned());
    (call, again)
}

// F95b
#[test]
fn the_servers_clock_is_learned_and_the_request_signed_again_once() {
    for (ahead, signed_at) in [(3600, "20231114T231320Z"), (-3600, "20231114T211320Z")] {
        let (mut call, again) = refused_at(signed(), ahead);
        assert_eq!(again.as_deref(), Some(signed_at));
        call.head(403, &[JSON, ("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        call.body(REFUSED).end();
        let error = call.error();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert_eq!(error.attempts().len(), 2);
    }
}

// F95b
#[test]
fn a_clock_that_is_right_is_not_the_reason() {
    assert_eq!(refused_at(signed(), 200).1, None);
    assert_eq!(refused_at(signed(), -200).1, None);
}

#[test]
fn the_clock_correction_has_a_limit() {
    let most = 15 * 3600;
    assert_eq!(
        refused_at(signed(), most).1.as_deref(),
        Some("20231115T131320Z")
    );
    assert!(refused_at(signed(), -most).1.is_some());
    for ahead in [
        most + 1,
        -most - 1,
        24 * 3600,
        10 * 365 * 86_400,
        -20 * 365 * 86_400,
    ] {
        let (call, again) = refused_at(signed(), ahead);
        assert_eq!(again, None, "{ahead}");
        assert_eq!(call.error().kind(), ErrorKind::Authentication);
    }
}

#[test]
fn a_request_with_a_key_header_is_not_repeated() {
    assert_eq!(refused_at(cerebras(), 3600).1, None);
}

#[test]
fn a_refusal_without_a_date_is_final() {
    let mut call = Call::new(signed(), request(false), options());
    call.answer(403, &[JSON], REFUSED);
    assert_eq!(call.error().attempts().len(), 1);
}
