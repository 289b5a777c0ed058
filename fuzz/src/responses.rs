use super::{
    drive::{Answer, Arrival, Outcome, chat},
    frames, grammar,
    protocols::wire,
    source::Source,
};
use std::sync::Arc;
use unifiedai::{
    ChatRequest, ErrorKind, UnifiedChatResponse,
    provider::{Framing, Provider},
    sans_io::Accumulator,
};

/// The default limit of an error's body; its message may be slightly longer.
const ERROR_BODY: usize = 64 << 10;

/// Up to this size a stream is also tested byte by byte; longer streams would take most of the time.
const BYTE_BY_BYTE: usize = 1 << 10;

/// A single-body response: an API, where to cut it, the body.
pub fn json_body(data: &[u8]) {
    let mut source = Source(data);
    let (letter, cut) = (source.byte(), usize::from(source.byte()));
    let Some(provider) = wire(letter) else { return };
    let body = source.0;
    let answer = Answer::json(body.to_vec());
    let request = ChatRequest::new("m").user("x").drop_unsupported();
    let run = |arrival| chat(&provider, &request, &answer, arrival);
    let full = run(Arrival::Whole);
    assert!(
        full.events.is_empty(),
        "a single-body response has no events"
    );
    same(&full, &run(Arrival::Pieces(7)));
    // If the body is an error because of its end, its beginning may be a success.
    if full.result.is_ok()
        && cut < body.trim_ascii_end().len()
        && body.trim_ascii_start().starts_with(b"{")
    {
        assert!(
            run(Arrival::Cut(cut)).result.is_err(),
            "a cut answer is a success"
        );
    }
}

/// A stream: an API, a chunk size, the body. AWS frames are made from lines.
pub fn stream(data: &[u8]) {
    let mut source = Source(data);
    let (letter, how) = (source.byte(), source.byte());
    let Some(provider) = wire(letter) else { return };
    let mut request = ChatRequest::new("m")
        .user("x")
        .drop_unsupported()
        .stream(true);
    request.parse_think_tags = how & 1 == 1;
    let answer = streamed(&provider, &request, source.0);
    let run = |arrival| chat(&provider, &request, &answer, arrival);
    let full = run(Arrival::Whole);
    same(&full, &run(Arrival::Pieces(usize::from(how).max(2))));
    if answer.body.len() <= BYTE_BY_BYTE {
        same(&full, &run(Arrival::Pieces(1)));
    }
    if let Err(what) = grammar::check(&full.events, full.result.is_ok()) {
        panic!("{what}");
    }
    let at = usize::from(how) * answer.body.len() / 256;
    let cut = run(Arrival::Cut(at));
    if cut.result.is_err() && !has_more_data(&answer.body[at..]) {
        assert_eq!(grammar::differs(&full.events, &cut.events), None);
    }
    match (&full.result, &cut.result) {
        (Ok(full), Ok(cut)) if !ends_with_its_reason(&provider, cut) => assert_eq!(
            full.choices, cut.choices,
            "a cut response was accepted as complete"
        ),
        (Ok(_), Ok(cut)) => assert!(!cut.choices.is_empty()),
        (Err(_), Ok(_)) | (_, Err(_)) => {}
    }
    if let Ok(response) = &full.result {
        let mut sum = Accumulator::new();
        full.events.iter().for_each(|event| sum.apply(event));
        assert_eq!(sum.response().choices, response.choices);
        assert_eq!(sum.response().usage, response.usage);
    }
}

/// Whether the event that continues here has another line of data. Its first lines alone can be a complete, different
/// event.
fn has_more_data(rest: &[u8]) -> bool {
    let blank = |pair: &[u8]| matches!(pair, b"\n\n" | b"\r\r" | b"\n\r");
    let end = rest.windows(2).position(blank).unwrap_or(rest.len());
    let begins = |line: &[u8]| matches!(line, [b'\n' | b'\r', b'd', b'a', b't', b'a']);
    rest[..end].windows(5).any(begins)
}

/// Whether the finish reason was the end: the API has no end marker, or a warning says that it is missing. Data after
/// it can be cut off.
fn ends_with_its_reason(provider: &Arc<dyn Provider>, cut: &UnifiedChatResponse) -> bool {
    let is_only_end = ["cerebras", "gemini"].contains(&provider.name());
    let is_missed = cut
        .warnings
        .iter()
        .any(|warning| warning.code == "missing_end");
    let has_reason = cut
        .choices
        .iter()
        .all(|choice| choice.finish_reason.is_some());
    has_reason && (is_only_end || is_missed)
}

/// A response to `request` in this provider's framing.
pub fn streamed(provider: &Arc<dyn Provider>, request: &ChatRequest, body: &[u8]) -> Answer {
    let encoded = provider
        .encode_chat(request)
        .expect("a plain question can be asked");
    match encoded.framing {
        Framing::AwsEventStream => Answer::new(
            200,
            "application/vnd.amazon.eventstream",
            frames::from_lines(body),
        ),
        Framing::Ndjson => Answer::new(200, "application/x-ndjson", body.to_vec()),
        _ => Answer::sse(body.to_vec()),
    }
}

/// A response with an error status: an API, the kind of request, the status in three digits, the body.
pub fn error_body(data: &[u8]) {
    let mut source = Source(data);
    let (letter, how) = (source.byte(), source.byte());
    let Some(provider) = wire(letter) else { return };
    let number = source
        .bytes(3)
        .iter()
        .fold(0_u16, |number, digit| number * 10 + u16::from(digit % 10));
    let status = 300 + number % 700;
    let body = source.0;
    let answer = Answer::new(status, "application/json", body.to_vec());
    let request = ChatRequest::new("m")
        .user("x")
        .drop_unsupported()
        .stream(how & 1 == 1);
    let run = |arrival| chat(&provider, &request, &answer, arrival);
    let full = run(Arrival::Whole);
    same(&full, &run(Arrival::Pieces(usize::from(how).max(1))));
    let error = full
        .result
        .expect_err("a status of 300 and above is an error");
    assert_eq!(error.status(), Some(status));
    assert_eq!(error.body(), &body[..body.len().min(ERROR_BODY)]);
    assert!(error.message().len() <= ERROR_BODY && !error.message().is_empty());
    assert_eq!(error.kind() == ErrorKind::Redirect, status < 400);
}

fn same(a: &Outcome, b: &Outcome) {
    assert_eq!(a.events, b.events);
    match (&a.result, &b.result) {
        (Ok(a), Ok(b)) => {
            assert_eq!(a.choices, b.choices);
            assert_eq!((&a.usage, &a.warnings), (&b.usage, &b.warnings));
        }
        (Err(a), Err(b)) => assert_eq!((a.kind(), a.message()), (b.kind(), b.message())),
        (a, b) => panic!("{a:?} and {b:?}"),
    }
}
