//! Cache plans and the explainer, at each API.

use super::wires;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};
use unifiedai::{
    ChatRequest, Error, ErrorKind, Json, Message, Tool,
    cache::{CacheLife, CacheMissCause, CachePlan, CacheTier, CacheVerdict, explain_cache},
    provider::{Anthropic, Bedrock, OpenAiChat, OpenAiResponses, Provider, anthropic},
};

fn body(provider: &dyn Provider, request: &ChatRequest) -> Value {
    let encoded = provider.encode_chat(request).unwrap();
    serde_json::from_slice(encoded.request.body()).unwrap()
}

fn is_mark(block: &Value) -> bool {
    block.get("cachePoint").is_some()
}

/// Removes the marks of a list of blocks, and counts them. A text becomes a list.
fn strip_blocks(blocks: &mut Value) -> usize {
    if let Value::String(text) = blocks {
        *blocks = json!([{"type": "text", "text": text}]);
    }
    let Value::Array(list) = blocks else { return 0 };
    let all = list.len();
    list.retain(|block| !is_mark(block));
    let mut marks = all - list.len();
    for block in list {
        if let Value::Object(members) = block {
            marks += usize::from(members.remove("cache_control").is_some());
        }
    }
    marks
}

/// The body without marks, and their number.
fn stripped(mut body: Value) -> (Value, usize) {
    let mut marks = 0;
    for place in ["/tools", "/toolConfig/tools", "/system"] {
        if let Some(blocks) = body.pointer_mut(place) {
            marks += strip_blocks(blocks);
        }
    }
    for place in ["messages", "input"] {
        let messages = body.get_mut(place).and_then(Value::as_array_mut);
        for message in messages.into_iter().flatten() {
            if let Some(content) = message.get_mut("content") {
                marks += strip_blocks(content);
            }
        }
    }
    let members = body.as_object_mut().unwrap();
    members.remove("prompt_cache_key");
    (body, marks)
}

fn tool(name: &str) -> Tool {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "day": {"type": "integer"}}});
    Tool::function(name, format!("Does {name}."), &schema).unwrap()
}

/// A conversation of some turns, with tools and system messages.
fn conversation(systems: usize, turns: usize, tools: usize) -> ChatRequest {
    let mut request = ChatRequest::new("some-model");
    for number in 0..systems {
        request = request.system(format!("Rule number {number} is a rule."));
    }
    for number in 0..turns {
        request = request.user(format!("Question {number} of the user"));
        if number + 1 < turns {
            request = request.assistant(format!("Answer {number} of the model"));
        }
    }
    for number in 0..tools {
        request = request.tool(tool(&format!("tool{number}")));
    }
    request
}

fn plans() -> impl Strategy<Value = CachePlan> {
    let life = prop_oneof![
        Just(CacheLife::Default),
        Just(CacheLife::FiveMinutes),
        Just(CacheLife::Hour)
    ];
    let by_hand = (any::<[bool; 3]>(), 0_u8..6, life).prop_map(|(on, turns, life)| {
        let mut plan = CachePlan::none().key_of_prefix();
        if on[0] {
            plan = plan.tools(life);
        }
        if on[1] {
            plan = plan.system(life);
        }
        if on[2] {
            plan = plan.history(turns, life);
        }
        plan
    });
    prop_oneof![Just(CachePlan::auto()), by_hand]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn plan_changes_nothing_that_the_model_reads(
        (systems, turns, tools) in (0_usize..3, 1_usize..5, 0_usize..3),
        plan in plans(),
        own_marks in 0_usize..5,
    ) {
        for wire in wires() {
            let mut request = conversation(systems, turns, tools);
            if wire.name() == "anthropic" {
                let last = request.messages.last_mut().unwrap();
                for _ in 0..own_marks {
                    last.content.push("one more".into());
                    last.content.push(anthropic::cache_point(None).unwrap());
                }
            }
            let (plain, own) = stripped(body(&*wire, &request));
            let marked = body(&*wire, &request.clone().cache_plan(plan.clone()));
            let (without, marks) = stripped(marked);
            prop_assert_eq!(&plain, &without, "{}", wire.name());
            prop_assert!(marks <= own.max(4), "{} has {marks} marks, {own} of its own", wire.name());
        }
    }

    #[test]
    fn explainer_finds_a_planted_difference(
        (systems, turns, tools) in (1_usize..3, 1_usize..5, 1_usize..4),
        place in any::<Index>(),
    ) {
        let previous = conversation(systems, turns, tools);
        let mut next = previous.clone();
        let places = next.messages.len() + tools;
        let place = place.index(places);
        let in_tools = place >= next.messages.len();
        if in_tools {
            let at = place - next.messages.len();
            if let Tool::Function { description, .. } = &mut next.tools[at] {
                *description = Some("Does something else.".into());
            }
        } else {
            let text = next.messages[place].text().replace(" of ", " off ").replace("is a", "is the");
            next.messages[place].content = vec![text.into()];
        }
        for wire in wires() {
            let name = wire.name().to_owned();
            let miss = explain_cache(&*wire, &previous, &next).unwrap().unwrap();
            let (old, _) = stripped(body(&*wire, &previous));
            let (new, _) = stripped(body(&*wire, &next));
            let (old, new) = (at(&old, &miss.path), at(&new, &miss.path));
            prop_assert!(old.is_some() && new.is_some() && old != new, "{name}: {miss}");
            prop_assert_eq!(in_tools, miss.path.contains("ools"), "{}: {}", name, miss.path);
            prop_assert!(miss.lost_tiers.contains(&CacheTier::Messages));
            prop_assert!(miss.lost_tokens > 0 || miss.byte > 0);
            let longer = previous.clone().assistant("And").user("so on");
            prop_assert_eq!(explain_cache(&*wire, &previous, &longer).unwrap(), None, "{}", name);
        }
    }
}

/// The value at a path such as `tools[3].description`.
fn at<'v>(mut value: &'v Value, path: &str) -> Option<&'v Value> {
    for name in path.split('.') {
        let (name, indices) = name.split_once('[').unwrap_or((name, ""));
        value = value.get(name)?;
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            let index: usize = index.trim_end_matches(']').parse().ok()?;
            value = value.get(index)?;
        }
    }
    Some(value)
}

fn cause(previous: &ChatRequest, next: &ChatRequest) -> CacheMissCause {
    let provider = Anthropic::new("k").unwrap();
    explain_cache(&provider, previous, next)
        .unwrap()
        .unwrap()
        .cause
}

#[test]
fn causes_are_named() {
    let base = conversation(0, 1, 3);
    let system = |text: &str| base.clone().system(text);
    let moments = [
        ("Now: 2026-11-30T12:00:00Z.", "Now: 2026-11-30T12:00:01Z."),
        (
            "Today is Monday, November 30, 2026.",
            "Today is Tuesday, December 1, 2026.",
        ),
        (
            "Session 0f8fad5b-d9cb-469f-a165-70867728950e",
            "Session 7c9e6679-7425-40de-944b-e07fc1f90ae7",
        ),
    ];
    for (a, b) in moments {
        assert_eq!(
            cause(&system(a), &system(b)),
            CacheMissCause::Timestamp,
            "{a}"
        );
    }
    assert_eq!(
        cause(&system("10 apples"), &system("12 apples")),
        CacheMissCause::Content
    );
    assert_eq!(
        cause(&system("a b"), &system("a  b\n")),
        CacheMissCause::Whitespace
    );
    let mut other = base.clone();
    other.tools.swap(0, 2);
    assert_eq!(cause(&base, &other), CacheMissCause::ToolOrder);
    let mut other = base.clone();
    other.tools.pop();
    assert_eq!(cause(&base, &other), CacheMissCause::ToolList);
    let mut other = base.clone();
    if let Tool::Function { parameters, .. } = &mut other.tools[1] {
        let schema = r#"{"type":"object","properties":{"city":{"type":"integer"}}}"#;
        *parameters = Some(Json::parse(schema).unwrap());
    }
    let changed = CacheMissCause::ToolSchema {
        tool: "tool1".into(),
    };
    assert_eq!(cause(&base, &other), changed);
    let mut other = base.clone();
    other.model = "another".into();
    assert_eq!(cause(&base, &other), CacheMissCause::Model);
    let thinking = base.clone().reasoning_max_tokens(2000_u64);
    assert_eq!(cause(&base, &thinking), CacheMissCause::Setting);
    let mut other = conversation(1, 3, 0);
    other.messages[1] = Message::user("Another question");
    assert_eq!(
        cause(&conversation(1, 3, 0), &other),
        CacheMissCause::History
    );
}

#[test]
fn parameters_outside_of_the_prompt_are_no_difference() {
    let base = conversation(1, 2, 1);
    let other = base.clone().max_tokens(9_u64).temperature(0.5).stream(true);
    for wire in wires() {
        assert_eq!(
            explain_cache(&*wire, &base, &other).unwrap(),
            None,
            "{}",
            wire.name()
        );
        let planned = base.clone().cache_plan(CachePlan::auto());
        assert_eq!(
            explain_cache(&*wire, &base, &planned).unwrap(),
            None,
            "{}",
            wire.name()
        );
    }
}

#[test]
fn marks_are_where_the_provider_wants_them() {
    let request = conversation(1, 3, 2).cache_plan(
        CachePlan::auto()
            .tools(CacheLife::Hour)
            .system(CacheLife::Hour),
    );
    let anthropic = body(&Anthropic::new("k").unwrap(), &request);
    let hour = json!({"type": "ephemeral", "ttl": "1h"});
    let usual = json!({"type": "ephemeral"});
    assert_eq!(anthropic["tools"][1]["cache_control"], hour);
    assert_eq!(anthropic["system"][0]["cache_control"], hour);
    assert_eq!(
        anthropic["messages"][4]["content"][0]["cache_control"],
        usual
    );
    assert_eq!(
        anthropic["messages"][2]["content"][0]["cache_control"],
        usual
    );
    assert_eq!(
        anthropic["messages"][0]["content"],
        "Question 0 of the user"
    );
    let bedrock = body(&Bedrock::new("us-east-1", "k").unwrap(), &request);
    let hour = json!({"cachePoint": {"type": "default", "ttl": "1h"}});
    assert_eq!(bedrock["toolConfig"]["tools"][2], hour);
    assert_eq!(bedrock["system"][1], hour);
    assert_eq!(
        bedrock["messages"][4]["content"][1],
        json!({"cachePoint": {"type": "default"}})
    );
    let auto = conversation(1, 3, 2).cache_plan(CachePlan::auto());
    let bedrock = body(&Bedrock::new("us-east-1", "k").unwrap(), &auto);
    assert_eq!(bedrock["toolConfig"]["tools"].as_array().unwrap().len(), 2);
}

#[test]
fn key_is_the_same_for_the_same_beginning_and_the_callers_own_wins() {
    let auto = |request: ChatRequest| request.cache_plan(CachePlan::auto());
    for wire in [
        Box::new(OpenAiChat::new("k").unwrap()) as Box<dyn Provider>,
        Box::new(OpenAiResponses::new("k").unwrap()),
    ] {
        let key = |request| body(&*wire, &request)["prompt_cache_key"].clone();
        let first = key(auto(conversation(1, 1, 1)));
        assert!(first.as_str().unwrap().len() <= 64);
        assert_eq!(first, key(auto(conversation(1, 3, 1))));
        assert_ne!(first, key(auto(conversation(1, 1, 2))));
        assert_eq!(
            key(auto(conversation(1, 1, 1).prompt_cache_key("own"))),
            "own"
        );
        let given = conversation(1, 1, 1).cache_plan(CachePlan::none().key("given"));
        assert_eq!(key(given), "given");
    }
}

#[test]
fn longer_life_behind_a_shorter_one_is_refused() {
    let plan = CachePlan::none()
        .tools(CacheLife::FiveMinutes)
        .system(CacheLife::Hour);
    let request = conversation(1, 1, 1).cache_plan(plan);
    let error: Error = Anthropic::new("k")
        .unwrap()
        .encode_chat(&request)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(
        error.message().contains("`system`") && error.message().contains("`tools`"),
        "{error}"
    );
}

#[test]
fn assertion_says_what_is_lost() {
    let first = conversation(1, 1, 1);
    unifiedai::assert_cache_stable!(&first, &first.clone().assistant("a").user("b"));
    let other = conversation(2, 1, 1);
    let provider = Anthropic::new("k").unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        unifiedai::assert_cache_stable!(&provider, &first, &other);
    }));
    let message = *caught.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("`system"), "{message}");
}

#[test]
fn verdict_of_the_provider_is_read() {
    let body = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hi"}],
        "stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1},
        "diagnostics":{"cache_miss_reason":{"type":"tools_changed","cache_missed_input_tokens":77}}}"#;
    let provider: std::sync::Arc<dyn Provider> = std::sync::Arc::new(Anthropic::new("k").unwrap());
    let answer = super::support::drive::Answer::json(body);
    let request = ChatRequest::new("c").user("x");
    let whole = super::support::drive::Arrival::Whole;
    let outcome = super::support::drive::chat(&provider, &request, &answer, whole);
    let verdict = CacheVerdict::of(&outcome.result.unwrap()).unwrap();
    assert_eq!(
        (&*verdict.reason, verdict.missed_tokens),
        ("tools_changed", Some(77))
    );
}
