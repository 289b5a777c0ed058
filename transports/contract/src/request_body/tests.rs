use super::*;
use std::collections::VecDeque;

/// Gives these results in order, and is pending once before each.
struct Script(Vec<Result<&'static str, &'static str>>);

struct Scripted {
    steps: VecDeque<Result<&'static str, &'static str>>,
    is_pending: bool,
}

impl BodySource for Script {
    fn open(&self) -> io::Result<Box<dyn PollPieces>> {
        Ok(Box::new(Scripted {
            steps: self.0.iter().copied().collect(),
            is_pending: true,
        }))
    }
}

impl PollPieces for Scripted {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.is_pending = !self.is_pending;
        if !self.is_pending {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(match self.steps.pop_front() {
            Some(Ok(piece)) => Ok(Some(piece.into())),
            Some(Err(problem)) => Err(io::Error::other(problem)),
            None => Ok(None),
        })
    }
}

fn script(length: u64, steps: &[Result<&'static str, &'static str>]) -> RequestBody {
    RequestBody::from_source(length, Script(steps.to_vec()))
}

/// What came, and how it ended.
fn read(body: &RequestBody) -> (String, Result<(), String>) {
    let mut pieces = body.open().unwrap();
    let mut text = String::new();
    loop {
        match pieces.poll_blocking(Duration::from_secs(5)) {
            Poll::Pending => {}
            Poll::Ready(Ok(Some(piece))) => {
                assert!(!piece.is_empty());
                text += std::str::from_utf8(&piece).unwrap();
            }
            Poll::Ready(Ok(None)) => {
                assert_eq!(pieces.remaining(), 0);
                return (text, Ok(()));
            }
            Poll::Ready(Err(error)) => return (text, Err(error.to_string())),
        }
    }
}

#[test]
fn pieces_are_given_in_order_and_again() {
    let body = script(5, &[Ok("ab"), Ok(""), Ok("c"), Ok("de")]);
    assert_eq!((body.len(), body.is_streamed()), (5, true));
    for _ in 0..2 {
        assert_eq!(read(&body), ("abcde".to_owned(), Ok(())));
    }
    assert_eq!(read(&"xyz".into()), ("xyz".to_owned(), Ok(())));
    assert_eq!(read(&RequestBody::default()), (String::new(), Ok(())));
    assert_eq!(read(&script(0, &[])), (String::new(), Ok(())));
}

#[test]
fn a_body_of_another_length_is_never_complete() {
    for (length, steps, given, problem) in [
        (
            6,
            [Ok("abc"), Ok("de")],
            "abcde",
            "ended after 5 of the announced 6 bytes",
        ),
        (
            4,
            [Ok("abc"), Ok("de")],
            "abc",
            "gave more than the announced 4 bytes",
        ),
        (
            3,
            [Ok("abc"), Ok("de")],
            "",
            "gave more than the announced 3 bytes",
        ),
        (
            5,
            [Ok("abc"), Err("disk on fire")],
            "abc",
            "failed after 3 of 5 bytes: disk on fire",
        ),
    ] {
        let (text, end) = read(&script(length, &steps));
        let error = end.unwrap_err();
        assert!(error.ends_with(problem), "{error}");
        assert!(text.len() < length as usize, "{text}");
        assert!(given.starts_with(&text), "{text}");
    }
}

#[test]
fn errors_keep_the_words_of_the_source() {
    let failing =
        RequestBody::from_reader(1, || Err::<io::Empty, _>(io::Error::other("no such disk")));
    let error = failing.open().unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "no such disk");
    let error = error.into_transport_error(RequestDelivery::NotSent);
    assert_eq!(error.kind(), TransportErrorKind::RequestBody);
    assert!(error.to_string().contains("no such disk"), "{error}");
}

#[test]
fn a_reader_is_read_in_pieces_and_once_if_it_cannot_be_opened_again() {
    let text = "x".repeat(200_000);
    let again = text.clone();
    let body = RequestBody::from_reader(200_000, move || Ok(io::Cursor::new(again.clone())));
    assert!(body.is_repeatable());
    assert_eq!(read(&body).0, text);
    assert_eq!(read(&body).0, text);

    let once = RequestBody::from_reader_once(200_000, io::Cursor::new(text.clone()));
    assert!(!once.is_repeatable());
    assert_eq!(read(&once).0, text);
    let error = once.open().unwrap_err().to_string();
    assert!(error.contains("only once"), "{error}");
}

#[test]
fn bodies_in_a_row_are_one_body() {
    let small = RequestBody::concat(["a".into(), "".into(), "bc".into()]);
    assert_eq!(small.as_bytes().unwrap(), "abc");
    let large = Bytes::from("x".repeat(100_000));
    let row = RequestBody::concat(["a".into(), large.clone().into(), script(2, &[Ok("yz")])]);
    assert_eq!(row.len(), 100_003);
    let (text, end) = read(&row);
    assert_eq!((text.len(), end), (100_003, Ok(())));
    assert!(text.starts_with("ax") && text.ends_with("xyz"));
    assert_eq!(row.collect(1 << 20).unwrap().len(), 100_003);
    assert!(row.collect(10).is_err());
    let once = RequestBody::from_reader_once(1, io::Cursor::new("z"));
    assert!(!RequestBody::concat(["a".into(), once]).is_repeatable());
}

#[test]
fn debug_shows_nothing_of_a_source() {
    let body = script(5, &[Ok("canary")]);
    let shown = format!("{body:?} {:?}", body.open().unwrap());
    assert!(!shown.contains("canary"), "{shown}");
}
