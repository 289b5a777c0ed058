use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Whether `part` is what is known of `whole` at some point: everything before its end is final.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::String(part), Value::String(whole)) => whole.starts_with(part.as_str()),
        (Value::Array(part), Value::Array(whole)) => {
            let last = part.len().saturating_sub(1);
            part.len() <= whole.len()
                && part
                    .iter()
                    .zip(whole)
                    .enumerate()
                    .all(|(at, (part, whole))| {
                        part == whole || (at == last && is_part(part, whole))
                    })
        }
        (Value::Object(part), Value::Object(whole)) => {
            let open = part
                .iter()
                .filter(|(name, value)| whole.get(*name) != Some(value));
            let open: Vec<_> = open.collect();
            // At most one member is not final.
            open.len() <= 1
                && open.iter().all(|(name, value)| {
                    whole.get(*name).is_some_and(|whole| is_part(value, whole))
                })
        }
        (part, whole) => part == whole,
    }
}

fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        Just("\"\\/\u{8}\u{c}\n\r\t\u{0}😀é".to_owned())
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Others are not read exactly as they were written.
        (-1_000_000..1_000_000_i32).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Other texts of the same value: with white space, and with every character of a text escaped.
fn texts(value: &Value) -> [String; 3] {
    let escaped = value
        .to_string()
        .chars()
        .fold(String::new(), |text, c| match c.is_ascii() {
            true => text + &c.to_string(),
            false => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .fold(text, |text, unit| text + &format!("\\u{unit:04X}")),
        });
    let pretty = serde_json::to_string_pretty(value).unwrap();
    [
        value.to_string(),
        format!("```json\n{pretty}\n```"),
        escaped,
    ]
}

fn char_ends(text: &str) -> impl Iterator<Item = usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()])
}

proptest! {
    #[test]
    fn at_every_cut_a_part_of_the_value_is_shown(value in values()) {
        for text in texts(&value) {
            let mut json = PartialJson::new();
            let mut at = 0;
            for end in char_ends(&text) {
                json.push(&text[at..end]).unwrap();
                at = end;
                if let Some(shown) = json.value() {
                    prop_assert!(is_part(shown, &value), "{shown} of {value} after {}", &text[..end]);
                }
            }
            json.finish().unwrap();
            prop_assert_eq!(json.value(), Some(&value));
        }
    }

    #[test]
    fn pieces_make_no_difference(value in values(), cuts in prop::collection::vec(0..1000_usize, 0..5)) {
        for text in texts(&value) {
            let ends: Vec<usize> = char_ends(&text).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| ends[cut % ends.len()]).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut json = PartialJson::new();
            for pair in cuts.windows(2) {
                json.push(&text[pair[0]..pair[1]]).unwrap();
                let mut whole = PartialJson::new();
                whole.push(&text[..pair[1]]).unwrap();
                prop_assert_eq!(json.value(), whole.value());
            }
            json.finish().unwrap();
            prop_assert_eq!(json.value().cloned(), Some(value.clone()));
        }
    }

    /// Whatever it is given, it accepts what serde_json accepts, and nothing else.
    #[test]
    fn it_accepts_what_serde_json_accepts(text in "[\\[\\]{},:\"\\\\ u0dD8aCtrefalsn1.eE+-]{0,24}") {
        let mut json = PartialJson::new();
        let read = json.push(&text).and_then(|()| json.finish());
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => prop_assert_eq!((read, json.value().cloned()), (Ok(()), Some(value))),
            Err(error) => prop_assert!(read.is_err(), "{text}: {error}"),
        }
    }
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    for (text, offset, expected) in [
        ("Sure! {", 0, "a value"),
        ("{\"a\" 1", 5, "`:`"),
        ("[1 2", 3, "`,` or the end of the list or object"),
        ("[1}", 2, "`,` or the end of the list or object"),
        ("{1", 1, "the name of a member"),
        ("\"\\x", 2, "an escape of JSON"),
        ("\"a\nb", 1, "a text without control characters"),
        ("\"\\ud800a", 7, "the second half of a surrogate pair"),
        ("\"\\udc00", 6, "the first half of a surrogate pair"),
        ("nul ", 3, "the rest of `true`, `false` or `null`"),
        ("[01]", 3, "the rest of a number"),
        ("{} x", 3, "the end of the text"),
    ] {
        let mut json = PartialJson::new();
        let error = json.push(text).unwrap_err();
        assert_eq!((error.offset, error.expected), (offset, expected), "{text}");
        let shown = json.value().cloned();
        assert_eq!(json.push("1"), Err(error), "the error is final");
        assert_eq!(json.value().cloned(), shown);
        assert!(json.finish().is_err());
    }
    let deep = "[".repeat(1000);
    assert!(PartialJson::new().push(&deep).is_err());
    for cut in ["", "  ", "{", "[1,", "\"a", "-", "tr", "```json\n{}"] {
        let mut json = PartialJson::new();
        json.push(cut).unwrap();
        let is_whole = cut.ends_with("{}");
        assert_eq!(json.finish().is_ok(), is_whole, "{cut}");
    }
}

#[test]
fn what_is_not_certain_is_not_shown() {
    let shown = |text: &str| {
        let mut json = PartialJson::new();
        json.push(text).unwrap();
        json.value().cloned()
    };
    assert_eq!(shown("12"), None);
    assert_eq!(shown("[12"), Some(json!([])));
    assert_eq!(shown("[12,"), Some(json!([12])));
    assert_eq!(shown("{\"a\": tru"), Some(json!({})));
    assert_eq!(shown("{\"a"), Some(json!({})));
    assert_eq!(shown("{\"a\":\""), Some(json!({"a": ""})));
    assert_eq!(shown("\"\\ud83d\\ude0"), Some(json!("")));
    assert_eq!(shown("\"\\ud83d\\ude00"), Some(json!("😀")));
}

/// The work of reading, in bytes and in steps through containers, grows as the text does.
#[test]
fn the_work_is_linear_in_the_text() {
    let item = r#"{"name": "a text with an \"escape\" or two", "list": [1, 2, [3, {"deep": true}]], "n": -1.5e3},"#;
    let long = format!("[\"{}\",", "x".repeat(4 << 20));
    let list = |bytes: usize| format!("[{}", item.repeat(bytes / item.len()));
    for text in [list(4 << 20), long] {
        let work = |text: &str| {
            let mut json = PartialJson::new();
            for piece in text.as_bytes().chunks(5) {
                json.push(std::str::from_utf8(piece).unwrap()).unwrap();
                assert!(json.value().is_some());
            }
            json.work
        };
        let (half, whole) = (work(&text[..text.len() / 2]), work(&text));
        assert!(whole <= half * 2 + half / 50, "{whole} after {half}");
        assert!(whole <= text.len() * 4, "{whole} for {} bytes", text.len());
    }
}
