use super::protocols::CANARY;
use bytes::Bytes;
use http::Response;
use std::{io, sync::Arc, time::Duration, time::SystemTime};
use unifiedai::{
    CallOptions, ChatRequest, ErrorKind, RetryPolicy, Secret,
    credentials::{Credentials, Environment, Federation, SubjectToken, Supply, TokenEndpoint},
    provider::{Auth, OpenAiChat, Signer},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::Time,
};

/// 29 November 2026, 12:00:00.
const WALL: Duration = Duration::from_secs(1_795_953_600);
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// More than the steps of any source.
const MAX_STEPS: usize = 200;

/// A letter for a source, then an answer for each of its requests, files and programs, separated by bytes 255. The
/// first byte of an answer is a digit for its status, or `n` for a file or a program that does not exist.
pub fn credentials(data: &[u8]) {
    let Some((letter, rest)) = data.split_first() else {
        return;
    };
    let Some((credentials, is_signed)) = source(*letter) else {
        return;
    };
    let answers: Vec<&[u8]> = rest.split(|byte| *byte == 255).collect();
    let whole = fetch(&credentials, is_signed, &answers, usize::MAX);
    credentials.forget();
    let pieces = fetch(&credentials, is_signed, &answers, 7);
    assert_eq!(whole, pieces, "pieces give another token or error");
    let knows_the_key = data
        .windows(CANARY.len())
        .any(|part| part == CANARY.as_bytes());
    if let (Err(error), false) = (&whole, knows_the_key) {
        assert!(!error.contains(CANARY), "{error}");
    }
}

/// A source, and whether it gives keys that sign.
fn source(letter: u8) -> Option<(Credentials, bool)> {
    let with = |variables: &[(&str, &str)]| {
        Environment::new(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            let found = found.map(|(_, value)| (*value).to_owned());
            found.or_else(|| match name {
                "HOME" => Some("/home/me".to_owned()),
                "AWS_REGION" => Some("eu-west-1".to_owned()),
                _ => None,
            })
        })
    };
    let keys = with(&[
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", CANARY),
    ]);
    let file = ("GOOGLE_APPLICATION_CREDENTIALS", "/adc.json");
    let azure = |more: &[(&str, &str)]| {
        let mut variables = vec![("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
        variables.extend(more);
        with(&variables).azure(SCOPE)
    };
    let subject = || SubjectToken::File("/token".into());
    let secret = || Secret::new(CANARY).unwrap();
    let signing = |credentials| Some((credentials, true));
    let bearing = |credentials| Some((credentials, false));
    match letter {
        b'a' => signing(with(&[]).aws_profile("p")),
        b'b' => signing(with(&[]).aws_web_identity("arn:aws:iam::1:role/r", "/token")),
        b'c' => signing(
            with(&[
                ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/keys"),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", CANARY),
            ])
            .aws_container(),
        ),
        b'd' => signing(with(&[]).aws_instance()),
        b'e' => signing(with(&[]).aws()),
        b'f' => signing(keys.aws_assume_role(&keys.aws(), "arn:aws:iam::1:role/r")),
        b'g' => bearing(keys.aws_identity_token(&keys.aws(), "audience")),
        b'h' => bearing(with(&[file]).google()),
        b'i' => bearing(with(&[file]).google_for_vertex()),
        b'j' => bearing(with(&[]).google_metadata()),
        b'k' => bearing(with(&[]).google_identity_token("audience")),
        b'l' => bearing(with(&[]).google_cli()),
        b'm' => bearing(azure(&[("AZURE_CLIENT_SECRET", CANARY)])),
        b'n' => bearing(azure(&[("AZURE_FEDERATED_TOKEN_FILE", "/token")])),
        b'o' => bearing(azure(&[])),
        b'p' => bearing(azure(&[
            ("IDENTITY_ENDPOINT", "http://localhost:40342/token"),
            ("IMDS_ENDPOINT", "http://localhost:40342"),
        ])),
        b'q' => bearing(azure(&[("AZURE_TOKEN_CREDENTIALS", "dev")])),
        b'r' => bearing(Federation::openai("idp", "svc", subject()).credentials()),
        b's' => bearing(with(&[]).anthropic_profile("p").unwrap()),
        b't' => bearing(
            TokenEndpoint::client_credentials("https://auth.test/token", "id", secret())
                .credentials(),
        ),
        _ => None,
    }
}

/// The token with which the call goes out, or the error.
fn fetch(
    credentials: &Credentials,
    is_signed: bool,
    answers: &[&[u8]],
    size: usize,
) -> Result<String, String> {
    let auth = match is_signed {
        true => Auth::SigV4(Signer::new(credentials.clone(), "eu-west-1", "bedrock").unwrap()),
        false => Auth::Bearer(credentials.clone().into()),
    };
    let provider = OpenAiChat::custom("https://llm.test/v1").auth(auth).build();
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    let mut exchange = Exchange::new(
        Arc::new(provider.unwrap()),
        Arc::new(ChatRequest::new("m").user("hi")),
        Arc::new(options),
        CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH + WALL, 1),
    )
    .unwrap();
    let mut answers = answers.iter();
    let mut now = Time::ZERO;
    for _ in 0..MAX_STEPS {
        now = now.saturating_add(Duration::from_millis(1));
        let input = match exchange.poll(now) {
            Step::Send { request, .. } => {
                let host = request.uri().host().unwrap().to_owned();
                if host == "llm.test" {
                    let name = match is_signed {
                        true => "x-amz-security-token",
                        false => "authorization",
                    };
                    let token = request.headers().get(name);
                    return Ok(format!(
                        "{token:?} {:?}",
                        token.map(|token| token.as_bytes())
                    ));
                }
                let is_local = ["localhost", "metadata.google.internal"].contains(&&*host)
                    || host.starts_with("127.")
                    || host.starts_with("169.254.")
                    || host.starts_with("[::1]")
                    || host.starts_with("[fd00:ec2::");
                assert!(
                    is_local || request.uri().scheme_str() == Some("https"),
                    "plain http to {host}"
                );
                let (status, body) = answers
                    .next()
                    .map_or((503, &[][..]), |answer| answered(answer));
                respond(&mut exchange, now, status, body, size);
                continue;
            }
            Step::Supply { supply, .. } => {
                let answer = answers.next().copied().unwrap_or(b"n");
                Input::Supplied(match (supply, answer.split_first()) {
                    (_, None | Some((b'n', _))) => Err(io::ErrorKind::NotFound.into()),
                    (Supply::SignRs256 { .. }, _) => Ok(Bytes::from_static(b"signature")),
                    (_, Some((_, content))) => Ok(Bytes::copy_from_slice(content)),
                })
            }
            Step::Sleep { until } => {
                assert!(until > now, "a sleep into the past");
                now = until;
                continue;
            }
            Step::Done => {
                let error = exchange.into_result().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
                assert!(!error.message().is_empty());
                return Err(format!("{error} {error:?}"));
            }
            step => panic!("{step:?}"),
        };
        exchange.handle(input, now);
    }
    panic!("a source without an end")
}

fn answered(answer: &[u8]) -> (u16, &[u8]) {
    let (digit, body) = answer.split_first().unwrap_or((&b'2', &[]));
    let status = match digit {
        b'0' => 404,
        b'1' => 401,
        b'3' => 403,
        b'4' => 400,
        b'5' => 503,
        b'7' => 302,
        b'9' => 429,
        _ => 200,
    };
    (status, body)
}

fn respond(exchange: &mut Exchange, now: Time, status: u16, body: &[u8], size: usize) {
    let head = Response::builder()
        .status(status)
        .header("metadata-flavor", "Google")
        .header(
            "www-authenticate",
            "Basic realm=/var/opt/azcmagent/tokens/a.key",
        )
        .body(());
    exchange.handle(Input::Headers(head.unwrap().into_parts().0), now);
    for chunk in body.chunks(size.min(body.len().max(1))) {
        // A wait for the rest, as a driver has it.
        if !matches!(exchange.poll(now), Step::Receive { .. }) {
            return;
        }
        exchange.handle(Input::Body(Bytes::copy_from_slice(chunk)), now);
    }
    if matches!(exchange.poll(now), Step::Receive { .. }) {
        exchange.handle(Input::BodyEnd, now);
    }
}
