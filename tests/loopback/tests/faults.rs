//! Every fault, from the client's side of the socket.
#![expect(clippy::disallowed_methods, reason = "a test with real sockets")]

mod client;

use std::time::{Duration, Instant};

use client::{Client, End, Response};
use serde_json::{Value, json};
use unifiedai_loopback::{Config, Loopback};

fn request(spec: &str, stream: bool) -> Value {
    json!({"model": format!("fault-{spec}"), "stream": stream, "messages": [{"role": "user", "content": "echo: a b c d e f g"}]})
}

fn fresh(spec: &str, stream: bool) -> (Loopback, Client, Response) {
    let server = Loopback::start(Config::fast()).unwrap();
    let silent = spec.contains("stall") || spec.contains("hold-open");
    let patience = if silent {
        Duration::from_millis(300)
    } else {
        Duration::from_secs(30)
    };
    let mut client = Client::new(&server).patience(patience);
    let response = client.chat(&request(spec, stream));
    (server, client, response)
}

fn whole(spec: &str) -> Response {
    fresh(spec, false).2
}

fn stream(spec: &str) -> Response {
    fresh(spec, true).2
}

fn finished(response: &Response) -> bool {
    response
        .events()
        .iter()
        .any(|event| event.pointer("/choices/0/finish_reason").is_some())
}

#[test]
fn error_status_has_the_providers_error_body() {
    for status in [
        400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529,
    ] {
        for streams in [false, true] {
            let (_server, mut client, response) = fresh(&format!("status-{status}"), streams);
            assert_eq!((response.status, response.end), (status, End::Framed));
            assert!(response.json()["message"].is_string());
            assert_eq!(client.get("/v1/models").status, 200);
        }
    }
    let response = whole("status-429+retry-after=1.5+retry-after-ms=20+should-retry=false");
    assert_eq!(response.json()["code"], "request_quota_exceeded");
    assert_eq!(response.header("retry-after"), Some("1.5"));
    assert_eq!(response.header("retry-after-ms"), Some("20"));
    assert_eq!(response.header("x-should-retry"), Some("false"));
}

#[test]
fn a_fault_is_chosen_by_header_model_or_suffix() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut client = Client::new(&server);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}).to_string();
    let header = "x-loopback-fault: status-500\r\n";
    assert_eq!(
        client
            .request("POST", "/v1/chat/completions", header, &body)
            .status,
        500
    );
    let mut request = request("ok", false);
    request["model"] = "load-2~flaky-1+retry-after=2".into();
    let failed = client.chat(&request);
    assert_eq!(
        (failed.status, failed.header("retry-after")),
        (503, Some("2"))
    );
    let answered = client.chat(&request);
    assert_eq!(
        (answered.status, answered.header("retry-after")),
        (200, None)
    );
    assert_eq!(
        (
            &answered.json()["model"],
            &answered.json()["usage"]["completion_tokens"]
        ),
        (&json!("load-2"), &json!(2))
    );
}

#[test]
fn faulty_bodies() {
    let html = whole("html-502");
    assert_eq!(
        (html.status, html.header("content-type")),
        (502, Some("text/html; charset=UTF-8"))
    );
    assert!(html.text().starts_with("<!DOCTYPE html>"));
    assert_eq!(stream("html-200").status, 200);
    for status in [200, 204, 400, 503] {
        for streams in [false, true] {
            let (_server, mut client, empty) = fresh(&format!("empty-{status}"), streams);
            assert_eq!(
                (empty.status, empty.header("content-length").unwrap_or("0")),
                (status, "0")
            );
            if status != 204 {
                assert!(empty.body.is_empty());
                assert_eq!(client.get("/v1/models").status, 200);
            }
        }
    }
    let half = whole("half-json");
    assert_eq!(half.end, End::Framed);
    assert!(serde_json::from_slice::<Value>(&half.body).is_err());
    let half = stream("half-json");
    assert_eq!(half.end, End::Framed);
    let last = half
        .text()
        .trim_end()
        .rsplit("\n\n")
        .next()
        .unwrap()
        .strip_prefix("data: ")
        .unwrap();
    assert!(serde_json::from_str::<Value>(last).is_err());
    let garbage = whole("garbage-500k");
    assert_eq!((garbage.status, garbage.body.len()), (200, 500_000));
    assert!(std::str::from_utf8(&garbage.body).is_err());
    assert_eq!(whole("status-500+garbage-1k").status, 500);
    let error = whole("error-in-200");
    assert_eq!(
        (error.status, &error.json()["status_code"]),
        (200, &json!(429))
    );
    assert!(error.json()["error"]["message"].is_string());
}

#[test]
fn the_key_is_echoed_in_an_error() {
    let server = Loopback::start(Config::fast()).unwrap();
    let body = request("echo-auth", false).to_string();
    let response = Client::new(&server).request(
        "POST",
        "/v1/chat/completions",
        "authorization: Bearer canary\r\n",
        &body,
    );
    assert_eq!(response.status, 401);
    assert!(response.text().contains("canary"));
}

#[test]
fn a_redirect_points_elsewhere() {
    for status in [301, 302, 307, 308] {
        let response = whole(&format!("redirect-{status}"));
        assert_eq!(
            (response.status, response.header("location")),
            (status, Some("/v1/elsewhere"))
        );
    }
}

#[test]
fn a_cut_is_at_its_byte() {
    for at in [0, 1, 300, 700] {
        let cut = stream(&format!("cut-at-{at}"));
        assert_eq!((cut.end, cut.body.len()), (End::Cut, at));
        let cut = whole(&format!("cut-at-{}", at / 2));
        assert_eq!((cut.end, cut.body.len()), (End::Cut, at / 2));
        let cut = stream(&format!("cut-at-{at}+close-delimited"));
        assert_eq!((cut.end, cut.body.len()), (End::CloseDelimited, at));
    }
}

#[test]
fn a_clean_cut_looks_complete() {
    for events in 0..5 {
        let (_server, mut client, cut) = fresh(&format!("cut-clean-at-{events}"), true);
        assert_eq!(
            (cut.end, cut.events().len(), finished(&cut)),
            (End::Framed, events, false)
        );
        assert_eq!(client.get("/v1/models").status, 200);
    }
    let cut = whole("cut-clean-at-1");
    assert_eq!(cut.end, End::Framed);
    assert!(serde_json::from_slice::<Value>(&cut.body).is_err());
}

#[test]
fn a_body_that_ends_with_its_connection() {
    for streams in [false, true] {
        let (_server, _client, response) = fresh("close-delimited", streams);
        assert_eq!(
            (response.end, response.header("connection")),
            (End::CloseDelimited, Some("close"))
        );
        assert!(if streams {
            finished(&response)
        } else {
            response.json().is_object()
        });
    }
}

#[test]
fn a_reset_follows_its_events() {
    for events in [0, 1, 3] {
        let reset = stream(&format!("reset-at-{events}"));
        assert_eq!((reset.end, reset.events().len()), (End::Reset, events));
    }
    assert_eq!(whole("reset-at-0").end, End::Reset);
    let reset = whole("reset-at-1");
    assert!(reset.end == End::Reset && !reset.body.is_empty());
}

#[test]
fn stall_sends_no_data_until_the_client_disconnects() {
    let (server, client, stalled) = fresh("stall-at-2", true);
    assert_eq!((stalled.end, stalled.events().len()), (End::Silence, 2));
    assert_eq!(server.open_connections(), 1);
    drop(client);
    let start = Instant::now();
    while server.open_connections() > 0 {
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    let stalled = whole("stall-at-1");
    assert!(stalled.end == End::Silence && !stalled.body.is_empty());
    let stalled = whole("stall-head");
    assert_eq!((stalled.end, stalled.status), (End::Silence, 0));
}

#[test]
fn malformed_headers() {
    assert_eq!(
        (whole("no-head").status, whole("no-head").end),
        (0, End::Cut)
    );
    assert_eq!(
        (whole("half-head").status, whole("half-head").end),
        (200, End::Cut)
    );
    assert_eq!(whole("bad-head").status, 0);
}

#[test]
fn a_drip_is_one_byte_at_a_time() {
    let start = Instant::now();
    let response = stream("drip-1+cut-clean-at-1");
    assert_eq!(response.end, End::Framed);
    assert!(response.chunks.iter().all(|size| *size == 1));
    assert!(start.elapsed() > Duration::from_millis(response.body.len() as u64));
}

#[test]
fn splitting_bytes_changes_only_the_chunks() {
    for size in [1, 7, 100] {
        let response = stream(&format!("split-bytes-{size}"));
        assert_eq!(
            (response.end, response.added(0, "content").as_str()),
            (End::Framed, "a b c d e f g")
        );
        assert!(
            response
                .chunks
                .iter()
                .rev()
                .skip(1)
                .all(|chunk| *chunk == size)
        );
    }
    assert_eq!(
        whole("split-bytes-3").json()["choices"][0]["message"]["content"],
        "a b c d e f g"
    );
}

#[test]
fn pings_never_end() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut client = Client::new(&server).patience(Duration::from_millis(300));
    let body = request("pings-at-2", true).to_string();
    client.send(
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    std::thread::sleep(Duration::from_millis(150));
    drop(client);
    while server.open_connections() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(server.aborted(), 1);
}

#[test]
fn harmless_variations() {
    let plain = stream("ok").added(0, "content");
    for spec in ["comments", "1xx", "delay=20"] {
        let (_server, mut client, mut response) = fresh(spec, true);
        while response.status < 200 {
            response = client.response(false);
        }
        assert_eq!(response.added(0, "content"), plain, "{spec}");
    }
    assert_eq!(
        stream("comments").text().matches(": ping\n\n").count(),
        stream("ok").events().len()
    );
    assert_eq!(whole("1xx").status, 100);
    let crlf = stream("crlf");
    assert!(
        crlf.text().ends_with("\r\n\r\n")
            && crlf.text().matches('\n').count() == crlf.text().matches("\r\n").count()
    );
    assert!(stream("bom").text().starts_with("\u{feff}data: "));
}

#[test]
fn an_error_inside_a_stream() {
    for at in [0, 2] {
        let response = stream(&format!("error-in-stream-at-{at}"));
        let events = response.events();
        assert_eq!(
            (response.status, response.end, events.len()),
            (200, End::Framed, at + 1)
        );
        assert_eq!(events[at]["status_code"], 429);
        assert!(events[at]["error"]["code"].is_string() && !finished(&response));
    }
}

#[test]
fn wrong_lengths() {
    for streams in [false, true] {
        let (_server, _client, long) = fresh("wrong-length", streams);
        let announced: usize = long.header("content-length").unwrap().parse().unwrap();
        assert_eq!((long.end, announced - long.body.len()), (End::Cut, 64));
        let (_server, mut client, short) = fresh("short-length", streams);
        assert_eq!((short.end, client.rest().0.len()), (End::Framed, 5));
    }
}

#[test]
fn unsolicited_second_response() {
    for streams in [false, true] {
        let (_server, mut client, response) = fresh("extra-bytes", streams);
        assert_eq!(response.end, End::Framed);
        assert_eq!(client.response(false).json(), json!({"stale": true}));
        assert_eq!(client.get("/v1/models").status, 200);
    }
}

#[test]
fn keep_alive_connection_is_closed() {
    for streams in [false, true] {
        let (_server, mut client, response) = fresh("close-after", streams);
        assert_eq!(
            (response.end, response.header("connection")),
            (End::Framed, None)
        );
        assert_eq!(client.rest(), (Vec::new(), End::Cut));
    }
}

#[test]
fn wrong_content_types() {
    assert_eq!(stream("ctype").header("content-type"), Some("text/plain"));
    assert_eq!(
        stream("ctype=application/json").header("content-type"),
        Some("application/json")
    );
    assert_eq!(
        whole("encoding=gzip").header("content-encoding"),
        Some("gzip")
    );
}

#[test]
fn the_end_marker() {
    assert!(!stream("ok").text().contains("[DONE]"));
    assert!(!stream("no-done").text().contains("[DONE]"));
    let done = stream("done");
    assert!(done.text().ends_with("data: [DONE]\n\n") && done.end == End::Framed);
    let held = stream("hold-open-after-done");
    assert!(held.text().ends_with("data: [DONE]\n\n") && held.end == End::Silence);
}

#[test]
fn reasoning_in_tags() {
    let text = stream("think-tags").added(0, "content");
    assert!(
        text.starts_with("<think>") && text.ends_with("</think>a b c d e f g"),
        "{text}"
    );
    assert!(
        whole("think-tags").json()["choices"][0]["message"]
            .get("reasoning")
            .is_none()
    );
}

#[test]
fn endless_bodies_are_limited() {
    for spec in ["endless-line", "endless-events"] {
        let response = stream(spec);
        assert_eq!(response.end, End::Cut, "{spec}");
        assert!(
            response.body.len() > 60 << 20,
            "{spec} {}",
            response.body.len()
        );
        let lines = response.body.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines < 5, spec == "endless-line");
    }
}

#[test]
fn a_share_of_the_calls_fails() {
    let set = ["status-500", "cut-clean-at-0"].map(str::to_owned).to_vec();
    let server = Loopback::start(Config {
        fault_rate: 0.5,
        fault_seed: 3,
        fault_set: set,
        ..Config::fast()
    })
    .unwrap();
    let mut client = Client::new(&server);
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let bad = (0..200).filter(|_| !finished(&client.chat(&body))).count();
    assert!((60..140).contains(&bad), "{bad}");
    assert!(
        Loopback::start(Config {
            fault_set: vec!["nonsense".into()],
            ..Config::fast()
        })
        .is_err()
    );
}

#[test]
fn errors_with_a_code() {
    let overflow = whole("context-overflow");
    assert_eq!(overflow.status, 400);
    assert!(
        overflow.json()["message"]
            .as_str()
            .unwrap()
            .contains("Current length is")
    );
    assert_eq!(
        whole("status-429+code=token_quota_exceeded").json()["code"],
        "token_quota_exceeded"
    );
    let events = stream("error-in-stream-at-1+code=token_quota_exceeded").events();
    assert_eq!(events[1]["error"]["code"], "token_quota_exceeded");
}

#[test]
fn a_corrupt_event_has_a_flipped_bit() {
    let corrupt = stream("corrupt-at-1");
    let events: Vec<_> = corrupt
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let wrong: Vec<_> = events
        .iter()
        .map(|event| std::str::from_utf8(event).is_err())
        .collect();
    assert!(wrong[1] && wrong.iter().filter(|wrong| **wrong).count() == 1);
}

#[test]
fn unusual_stream_starts_and_ends() {
    assert_eq!(whole("big-head").header("x-filler").unwrap().len(), 200_000);
    for streams in [false, true] {
        let server = Loopback::start(Config::fast()).unwrap();
        let mut client = Client::new(&server);
        let body = request("both-lengths+trailers+close-after", streams).to_string();
        client.send(
            format!(
                "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        let text = String::from_utf8(client.rest().0).unwrap();
        assert!(text.contains("content-length: 1\r\n"));
        assert_eq!(text.ends_with("0\r\nx-trailer: late\r\n\r\n"), streams);
    }
}
