//! What attempts use and cost: the ledger, prices, budgets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod budget;
mod ledger;

use std::{sync::Arc, time::Duration};
use unifiedai::{
    CallOptions, ChatRequest, RetryPolicy,
    cost::{Charge, Cost, PriceSource},
    provider::{OpenAiChat, Provider},
    transport::testing::MockResponse,
};

/// A dollar for a hundred input tokens, and two for a hundred output tokens. Models named `unpriced` have no price.
#[derive(Debug)]
struct TestPrices;

impl PriceSource for TestPrices {
    fn cost(&self, charge: &Charge<'_>) -> Cost {
        if charge.model == "unpriced" {
            return Cost::unknown("model");
        }
        let cent = unifiedai::cost::Usd::from_cents(1);
        let usage = charge.usage;
        let (Some(input), Some(output)) = (usage.prompt_tokens, usage.completion_tokens) else {
            return Cost::unknown("tokens");
        };
        Cost::new(cent * input + cent * 2 * output)
    }
}

fn options() -> CallOptions {
    let mut retry = RetryPolicy::default();
    retry.max_retries = 2;
    CallOptions::default().retry(retry).prices(TestPrices)
}

fn provider(name: &str) -> Arc<dyn Provider> {
    let url = format!("https://{name}.test/v1");
    let provider = OpenAiChat::custom(url).name(name).api_key("key");
    Arc::new(provider.unwrap().build().unwrap())
}

fn request() -> ChatRequest {
    ChatRequest::new("m1").user("hi")
}

/// A response of ten input and five output tokens: 20 cents.
fn answer() -> MockResponse {
    MockResponse::json(
        200,
        r#"{"id":"r1","model":"m1-2026","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#,
    )
    .header("x-request-id", "req-1")
}

const SECOND: Duration = Duration::from_secs(1);
