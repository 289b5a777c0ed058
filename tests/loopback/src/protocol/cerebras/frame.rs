//! The objects of a response.

use std::fmt::Write as _;

use crate::protocol::{EventsMut, quote};
use crate::response::{Finish, ModelResponse};

/// The common fields of all objects of a response.
pub(super) struct Frame {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) created: f64,
    pub(super) logprobs: bool,
    pub(super) alternatives: usize,
    /// Whether tool arguments are streamed token by token.
    pub(super) fragments: bool,
    pub(super) pace: f64,
}

impl Frame {
    pub(super) fn whole(&self, answers: &[ModelResponse]) -> String {
        let choices: Vec<String> = answers
            .iter()
            .enumerate()
            .map(|(index, answer)| self.choice(index, answer))
            .collect();
        format!(
            r#"{{"id":"{}","choices":[{}],"created":{},"model":{},"system_fingerprint":"fp_100b0c0ffee000000001","object":"chat.completion",{}}}"#,
            self.id,
            choices.join(","),
            self.created as u64,
            quote(&self.model),
            self.usage(answers),
        )
    }

    fn choice(&self, index: usize, answer: &ModelResponse) -> String {
        let mut message = String::new();
        if !answer.content.is_empty() {
            let _ = write!(message, r#""content":{},"#, quote(&answer.content.concat()));
        }
        if !answer.reasoning.is_empty() {
            let _ = write!(
                message,
                r#""reasoning":{},"#,
                quote(&answer.reasoning.concat())
            );
        }
        message.push_str(r#""role":"assistant""#);
        if !answer.calls.is_empty() {
            let calls: Vec<String> = answer
                .calls
                .iter()
                .map(|call| {
                    let arguments = quote(&call.arguments.concat());
                    format!(r#"{{"function":{{"arguments":{arguments},"name":{}}},"id":"{}","type":"function"}}"#, quote(&call.name), call.id)
                })
                .collect();
            let _ = write!(message, r#","tool_calls":[{}]"#, calls.join(","));
        }
        let mut logprobs = String::new();
        if self.logprobs {
            let _ = write!(
                logprobs,
                r#","logprobs":{}"#,
                self.logprobs(&answer.content)
            );
            if !answer.reasoning.is_empty() {
                let _ = write!(
                    logprobs,
                    r#","reasoning_logprobs":{}"#,
                    self.logprobs(&answer.reasoning)
                );
            }
        }
        format!(
            r#"{{"finish_reason":"{}","index":{index},"message":{{{message}}}{logprobs}}}"#,
            finish(answer.finish)
        )
    }

    fn logprobs(&self, tokens: &[String]) -> String {
        let one = |token: &str, rank: usize| {
            let logprob = -0.015_625 * (1 + rank * 64 + token.len() % 7) as f64;
            format!(
                r#""token":{},"logprob":{logprob},"bytes":{:?}"#,
                quote(token),
                token.as_bytes()
            )
        };
        let content: Vec<String> = tokens
            .iter()
            .map(|token| {
                let top: Vec<String> = (0..self.alternatives)
                    .map(|rank| match rank {
                        0 => format!("{{{}}}", one(token, 0)),
                        rank => format!("{{{}}}", one(&format!("{token}{rank}"), rank)),
                    })
                    .collect();
                format!(
                    r#"{{{},"top_logprobs":[{}]}}"#,
                    one(token, 0),
                    top.join(",")
                )
            })
            .collect();
        format!(r#"{{"content":[{}]}}"#, content.join(","))
    }

    fn usage(&self, answers: &[ModelResponse]) -> String {
        let prompt = answers.first().map_or(0, |answer| answer.prompt_tokens);
        let completion: usize = answers.iter().map(ModelResponse::tokens).sum();
        let reasoning: usize = answers.iter().map(|answer| answer.thought).sum();
        let (spent, read) = (self.pace * completion as f64, 0.000_031 * prompt as f64);
        format!(
            concat!(
                r#""usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":0}},"#,
                r#""completion_tokens_details":{{"accepted_prediction_tokens":0,"rejected_prediction_tokens":0,"reasoning_tokens":{}}}}},"#,
                r#""time_info":{{"queue_time":8.4203e-05,"prompt_time":{},"completion_time":{},"total_time":{},"created":{:.6}}}"#,
            ),
            prompt,
            completion,
            prompt + completion,
            reasoning,
            read,
            spent,
            read + spent + 0.001,
            self.created,
        )
    }

    pub(super) fn events(&self, answers: &[ModelResponse]) -> EventsMut {
        let mut events = EventsMut::default();
        let mut deltas: Vec<_> = answers
            .iter()
            .map(|answer| self.deltas(answer).into_iter())
            .collect();
        let mut open = deltas.len();
        // Several choices alternate, as on the service.
        while open > 0 {
            open = 0;
            for (index, deltas) in deltas.iter_mut().enumerate() {
                if let Some(delta) = deltas.next() {
                    open += 1;
                    self.event(&mut events, &format!(r#"{delta},"index":{index}"#), "");
                }
            }
        }
        let last = answers.len().saturating_sub(1);
        for (index, answer) in answers.iter().enumerate() {
            let usage = if index == last {
                format!(",{}", self.usage(answers))
            } else {
                String::new()
            };
            let end = format!(
                r#""delta":{{}},"finish_reason":"{}","index":{index}"#,
                finish(answer.finish)
            );
            self.event(&mut events, &end, &usage);
        }
        events
    }

    fn event(&self, events: &mut EventsMut, choice: &str, usage: &str) {
        let event = format!(
            concat!(
                r#"data: {{"id":"{}","choices":[{{{}}}],"created":{},"model":{},"#,
                r#""system_fingerprint":"fp_100b0c0ffee000000001","object":"chat.completion.chunk"{}}}"#,
                "\n\n",
            ),
            self.id,
            choice,
            self.created as u64,
            quote(&self.model),
            usage,
        );
        events.push(event.as_bytes());
    }

    fn deltas(&self, answer: &ModelResponse) -> Vec<String> {
        let piece = |name: &str, piece: &String| {
            let mut delta = format!(r#""delta":{{"{name}":{}}}"#, quote(piece));
            if self.logprobs {
                let key = if name == "reasoning" {
                    "reasoning_logprobs"
                } else {
                    "logprobs"
                };
                let _ = write!(
                    delta,
                    r#","{key}":{}"#,
                    self.logprobs(std::slice::from_ref(piece))
                );
            }
            delta
        };
        let mut deltas = vec![r#""delta":{"role":"assistant"}"#.to_owned()];
        deltas.extend(answer.reasoning.iter().map(|text| piece("reasoning", text)));
        deltas.extend(answer.content.iter().map(|text| piece("content", text)));
        for (index, call) in answer.calls.iter().enumerate() {
            let all = call.arguments.concat();
            let opening = if self.fragments { "" } else { &all };
            deltas.push(format!(
                r#""delta":{{"tool_calls":[{{"function":{{"arguments":{},"name":{}}},"type":"function","id":"{}","index":{index}}}]}}"#,
                quote(opening), quote(&call.name), call.id,
            ));
            for piece in call.arguments.iter().filter(|_| self.fragments) {
                let piece = quote(piece);
                deltas.push(format!(r#""delta":{{"tool_calls":[{{"function":{{"arguments":{piece}}},"type":"function","index":{index}}}]}}"#));
            }
        }
        deltas
    }
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}
