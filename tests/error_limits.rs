//! Temporary and lasting limits, in each provider's messages.
//!
//! The messages are from the providers' references and users' reports; names and numbers in them are made up.

#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use support::drive::{Answer, Arrival, chat};
use unifiedai::{ChatRequest, Error, ErrorKind, transport::testing::provider_for_recording};

const WIRES: &[&str] = &[
    "openai-chat",
    "openai-responses",
    "anthropic-messages",
    "gemini",
    "cohere-v2",
    "ollama",
    #[cfg(feature = "bedrock")]
    "bedrock-converse",
];

fn refused(provider: &str, wire: &str, answer: &Answer, stream: bool) -> Error {
    let provider = provider_for_recording(provider, wire).unwrap();
    let request = ChatRequest::new("m").user("?").stream(stream);
    let outcome = chat(&provider, &request, answer, Arrival::Whole);
    outcome.result.expect_err("an error")
}

fn kind(status: u16, body: &Value) -> (ErrorKind, bool) {
    let answer = Answer::new(status, "application/json", body.to_string());
    let error = refused("any", "openai-chat", &answer, false);
    (error.kind(), error.is_retryable())
}

/// Money, plans and quotas of a day or more: status and message as the provider sends them.
const LASTING: &[(u16, &str)] = &[
    // OpenAI
    (
        429,
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    (
        429,
        "Rate limit reached for gpt-x in organization org-x on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.",
    ),
    (
        429,
        "Rate limit reached for gpt-x on tokens per day (TPD): Limit 2000000, Used 1999000, Requested 2000. Visit https://platform.openai.com/account/rate-limits",
    ),
    (
        429,
        "Your organization has reached its monthly spend limit.",
    ),
    (400, "Billing hard limit has been reached"),
    // Anthropic
    (
        400,
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
    ),
    (
        400,
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
    ),
    (
        400,
        "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
    ),
    (429, "Extra usage is required for long context requests."),
    (429, "Usage credits are required for long context requests."),
    // Gemini
    (
        429,
        "Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing.",
    ),
    (
        429,
        "Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 0, model: gemini-x\nPlease retry in 3.2s.",
    ),
    (
        429,
        "Quota exceeded for quota metric 'Generate Content API requests per day' and limit 'GenerateContent request limit per day for a region'",
    ),
    (
        403,
        "Daily Limit Exceeded. The quota will be reset at midnight Pacific Time (PT).",
    ),
    (429, "Your project has exceeded its monthly spending cap."),
    // Bedrock
    (
        429,
        "Too many tokens per day, please wait before trying again.",
    ),
    // Groq
    (
        429,
        "Rate limit reached for model `m` in organization `org_x` service tier `on_demand` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
    ),
    // Cerebras
    (
        429,
        "Tokens per day limit exceeded - too many tokens processed.",
    ),
    // DeepSeek, Moonshot, Z.ai, MiniMax
    (402, "Insufficient Balance"),
    (
        429,
        "Your account org-x <ak-x> is suspended due to insufficient balance, please recharge your account or check your plan and billing details",
    ),
    (
        429,
        "Your account org-x / proj-x <ak-x> request reached organization TPD rate limit, current: 1505241, limit: 1500000",
    ),
    (
        429,
        "Insufficient balance or no resource package. Please recharge.",
    ),
    (429, "您的账户已欠费,请充值后重试"),
    (
        429,
        "已达到 5 小时的使用上限。您的限额将在 2026-09-10 19:01:19 重置。",
    ),
    (429, "insufficient balance (1008)"),
    // Alibaba, Volcengine
    (
        400,
        "Access denied, please make sure your account is in good standing.",
    ),
    (
        403,
        "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please disable the \"use free tier only\" mode in the management console.",
    ),
    (429, "Free allocated quota exceeded."),
    (429, "week allocated quota exceeded."),
    (
        403,
        "The request failed because your account has an overdue balance. Request ID: x",
    ),
    // xAI
    (
        429,
        "Your team x has either used all available credits or reached its monthly spending limit. To continue making API requests, please purchase more credits or raise your spending limit.",
    ),
    (
        403,
        "Your newly created team doesn't have any credits or licenses yet. You can purchase those on https://console.x.ai/team/x.",
    ),
    (
        403,
        "You have run out of credits or need a Grok subscription. Add credits at https://grok.com/?_s=usage or upgrade at https://grok.com/supergrok.",
    ),
    // Gateways
    (
        402,
        "This request requires more credits, or fewer max_tokens. You requested up to 32000 tokens, but can only afford 0.",
    ),
    (
        402,
        "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
    ),
    (
        429,
        "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
    ),
    (
        402,
        "You have exceeded your monthly included credits for Inference Providers. Subscribe to PRO to get 20x more monthly included credits.",
    ),
    (
        400,
        "Budget has been exceeded! Current cost: 26.075, Max budget: 0.25",
    ),
    (
        429,
        "LiteLLM User: engineer-1, exceeded budget for model=claude-x",
    ),
    (
        400,
        "ExceededBudget: End User=x over budget. Spend=0.0008, Budget=0.0001",
    ),
    (
        429,
        "Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 34254 seconds before retrying.",
    ),
    (
        403,
        "Out of call volume quota. Quota will be replenished in 2.08:18:34.",
    ),
    // Others
    (
        429,
        "You are using a Trial key, which is limited to 1000 API calls / month. You can continue to use the Trial key for free or upgrade to a Production key with higher rate limits at 'https://dashboard.cohere.com/api-keys'.",
    ),
    (
        429,
        "you (x) have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade",
    ),
    (
        429,
        "you (x) have reached your session usage limit, please wait or upgrade to continue",
    ),
    (
        429,
        "you've reached your hourly usage limit, please upgrade to continue",
    ),
    (429, "usage limit exceeded (2056)"),
    (
        402,
        "Credit limit exceeded. Please navigate to https://api.together.xyz/settings/billing to add credit or upgrade your plan.",
    ),
    (
        412,
        "Account x is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices. Please go to https://fireworks.ai/account/billing for more information.",
    ),
    (
        402,
        "Insufficient USD or Diem balance to complete request. Visit https://venice.ai/settings/api to add credits.",
    ),
    (
        429,
        "you have used up your daily free allocation of 10,000 neurons, please upgrade to Cloudflare's Workers Paid plan if you would like to continue usage.",
    ),
    (402, "You have no quota"),
    (
        429,
        "You've reached your weekly rate limit. Please wait for your limit to reset on April 19, 2026 at 9:00 PM.",
    ),
];

/// Limits per minute, per second and of concurrent requests.
const PASSING: &[(&str, Option<u64>)] = &[
    (
        "Rate limit reached for gpt-x in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more. You can increase your rate limit by adding a payment method to your account at https://platform.openai.com/account/billing.",
        Some(20_000),
    ),
    (
        "Rate limit reached for gpt-x on tokens per min (TPM): Limit 30000, Used 29500, Requested 1200. Please try again in 1.4s.",
        Some(1400),
    ),
    (
        "Rate limit reached for model `m` on tokens per minute (TPM): Limit 6000, Used 5990, Requested 1200. Please try again in 11.9s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
        Some(11_900),
    ),
    (
        "This request would exceed your organization's rate limit of 30,000 input tokens per minute.",
        None,
    ),
    (
        "Number of concurrent connections has exceeded your rate limit.",
        None,
    ),
    ("Resource has been exhausted (e.g. check quota).", None),
    (
        "Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_project_per_base_model with base model: gemini-x.",
        None,
    ),
    ("Too many tokens, please wait before trying again.", None),
    (
        "Requests per minute limit exceeded - too many requests sent.",
        None,
    ),
    (
        "You have been rate limited. Your rate limit is 60 queries per minute. Please navigate to https://api.together.xyz/settings/billing to upgrade to a paid plan.",
        None,
    ),
    (
        "Your account org-x <ak-x> request reached organization max RPM: 3, please try again after 1 seconds",
        Some(1000),
    ),
    (
        "Your account org-x request reached organization max concurrency: 1, please try again after 1 seconds",
        Some(1000),
    ),
    (
        "您当前使用该 API 的并发数过高,请降低并发,或联系客服增加限额",
        None,
    ),
    (
        "Allocated quota exceeded, please increase your quota limit. For details, see: https://help.aliyun.com/zh/model-studio/error-code#token-limit",
        None,
    ),
    (
        "You exceeded your current quota, please check your plan and billing details. For details, see: https://help.aliyun.com/zh/model-studio/error-code#token-limit",
        None,
    ),
    (
        "Rate limit exceeded: free-models-per-min. Add 10 credits to unlock 1000 free model requests per day",
        None,
    ),
    (
        "You are using a Trial key, which is limited to 40 API calls / minute. You can continue to use the Trial key for free or upgrade to a Production key with higher rate limits at 'https://dashboard.cohere.com/api-keys'.",
        None,
    ),
    (
        "Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 59 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit.",
        Some(59_000),
    ),
    (
        "Rate limit of 10 per 60s exceeded for UserByModelByMinute. Please wait 31 seconds before retrying.",
        Some(31_000),
    ),
    ("Service tier capacity exceeded for this model.", None),
    ("Per-minute usage limit reached", None),
];

/// Bodies with this message in each provider's format, and as gateways wrap it.
fn shapes(message: &str) -> Vec<Value> {
    let inner = json!({"error": {"message": message, "type": "x_error"}});
    vec![
        json!({"message": message}),
        json!({"error": message}),
        json!({"detail": message}),
        json!({"code": "Some resource", "error": message}),
        json!({"type": "error", "error": {"type": "api_error", "message": message}}),
        json!([{"error": {"code": 1, "message": message}}]),
        json!({"detail": {"error": {"message": message}}}),
        json!({"error": inner}),
        json!({"errors": [{"code": 1, "message": message}], "success": false, "messages": []}),
        json!({"base_resp": {"status_code": 1999, "status_msg": message}}),
        json!({"error": {"message": "Provider returned error", "code": 1, "metadata": {"raw": inner.to_string()}}}),
        json!({"error": {"message": "Provider returned error", "code": 1, "metadata": {"raw": message}}}),
        json!({"error": {"message": format!("litellm.APIError: XException - {inner}"), "code": "x"}}),
    ]
}

// F53
#[test]
fn limits_that_last_are_quotas_in_every_shape_and_are_not_tried_again() {
    for (status, message) in LASTING {
        for body in shapes(message) {
            assert_eq!(
                kind(*status, &body),
                (ErrorKind::QuotaExceeded, false),
                "{status} {body}"
            );
        }
    }
}

#[test]
fn limits_that_pass_are_rate_limits_and_name_their_wait() {
    for (message, wait) in PASSING {
        for body in shapes(message) {
            assert_eq!(kind(429, &body), (ErrorKind::RateLimit, true), "{body}");
        }
        let body = json!({"error": {"message": message, "code": "rate_limit_exceeded"}});
        let answer = Answer::new(429, "application/json", body.to_string());
        let error = refused("any", "openai-chat", &answer, false);
        let found = error.retry_after().map(|wait| wait.as_millis());
        assert_eq!(found, wait.map(u128::from), "{message}");
    }
}

#[test]
fn every_protocol_distinguishes_them_whatever_the_status() {
    for wire in WIRES {
        for status in [400, 402, 403, 429, 500] {
            for (message, lasting) in [
                ("Your account has insufficient balance.", true),
                ("Daily request limit exceeded.", true),
                ("Too many requests per minute.", false),
            ] {
                let body = json!({"error": {"message": message}, "message": message});
                let answer = Answer::new(status, "application/json", body.to_string());
                for stream in [false, true] {
                    let error = refused("any", wire, &answer, stream);
                    let is_quota = error.kind() == ErrorKind::QuotaExceeded;
                    assert_eq!(
                        is_quota,
                        lasting || status == 402,
                        "{wire} {status} {error}"
                    );
                }
            }
        }
    }
}

#[test]
fn error_in_a_stream_maps_like_an_http_error() {
    for (message, wanted) in [
        ("Insufficient balance", ErrorKind::QuotaExceeded),
        (
            "Rate limit reached on tokens per day (TPD)",
            ErrorKind::QuotaExceeded,
        ),
        (
            "Request too large for m on tokens per min (TPM): Limit 10, Requested 12",
            ErrorKind::TooLarge,
        ),
        (
            "Rate limit reached on tokens per min (TPM): Limit 10, Requested 2",
            ErrorKind::RateLimit,
        ),
    ] {
        let error = json!({"message": message, "type": "tokens", "code": "rate_limit_exceeded"});
        let named =
            json!({"type": "error", "error": {"type": "rate_limit_error", "message": message}});
        let failed =
            json!({"type": "response.failed", "response": {"status": "failed", "error": error}});
        let google =
            json!({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}});
        let streams = [
            ("openai-chat", json!({ "error": error })),
            ("openai-responses", json!({"type": "error", "error": error})),
            ("openai-responses", failed),
            ("anthropic-messages", named),
            ("gemini", google),
            ("cohere-v2", json!({ "error": error })),
        ];
        for (wire, event) in streams {
            let answer = Answer::sse(format!("data: {event}\n\n"));
            let error = refused("any", wire, &answer, true);
            assert_eq!(error.kind(), wanted, "{wire} {event}");
        }
    }
}

#[test]
fn codes_identify_quota_errors_with_vague_messages() {
    for code in [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "insufficient_balance_error",
        "exceeded_current_quota_error",
        "Arrearage",
        "AllocationQuota.FreeTierOnly",
        "PrepaidBillOverdue",
        "AccountOverdueError",
        "INSUFFICIENT_BALANCE",
        "quota_exceeded",
        "budget_exceeded",
        "ServiceQuotaExceededException",
        "1113",
        "1304",
        "1308",
        "1310",
    ] {
        for status in [400, 403, 429, 500] {
            for body in [
                json!({"error": {"message": "No.", "code": code}}),
                json!({"error": {"message": "No.", "type": code}}),
                json!({"message": "No.", "code": code}),
                json!({"error": code, "message": "No."}),
            ] {
                assert_eq!(
                    kind(status, &body),
                    (ErrorKind::QuotaExceeded, false),
                    "{status} {body}"
                );
            }
        }
    }
    // A period counts only in a rate-limit error.
    let weekly = json!({"error": {"message": "No.", "code": "user_weekly_rate_limited"}});
    assert_eq!(kind(429, &weekly).0, ErrorKind::QuotaExceeded);
    assert_eq!(kind(400, &weekly).0, ErrorKind::BadRequest);
    let anthropic = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "Limit.",
        "details": {"error_code": "enforced_spend_limit_reached"}}});
    assert_eq!(kind(429, &anthropic).0, ErrorKind::QuotaExceeded);
}

/// Google names the exceeded quotas, and sends a wait in seconds even for a daily quota.
#[test]
fn google_quotas_are_identified_by_name() {
    let body = |quotas: &[(&str, &str)]| {
        let violations: Vec<Value> = quotas
            .iter()
            .map(|(id, value)| json!({"quotaMetric": "m", "quotaId": id, "quotaValue": value}))
            .collect();
        json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED",
            "message": "You exceeded your current quota, please check your plan and billing details.\nPlease retry in 34.07s.",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}})
    };
    let minute = ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "15");
    let day = ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "20");
    let none = ("GenerateContentInputTokensPerModelPerMinute-FreeTier", "0");
    for (quotas, wanted) in [
        (&[minute][..], ErrorKind::RateLimit),
        (&[day], ErrorKind::QuotaExceeded),
        (&[minute, day], ErrorKind::QuotaExceeded),
        (&[day, minute], ErrorKind::QuotaExceeded),
        (&[none], ErrorKind::QuotaExceeded),
        (&[], ErrorKind::RateLimit),
    ] {
        let body = body(quotas);
        let quoted = json!({"error": {"message": format!("litellm.RateLimitError: VertexAIException - {body}"), "code": "429"}});
        for (wire, body) in [
            ("gemini", body.clone()),
            ("gemini", json!([body])),
            ("openai-chat", json!([body])),
            ("openai-chat", quoted),
        ] {
            let answer = Answer::new(429, "application/json", body.to_string());
            let error = refused("gemini", wire, &answer, false);
            assert_eq!(error.kind(), wanted, "{wire} {body}");
            let waits = error.retry_after().map(|wait| wait.as_secs());
            let seconds = (wanted == ErrorKind::RateLimit).then_some(34);
            assert_eq!(waits, seconds, "{wire} {body}");
        }
    }
}

#[test]
fn requests_larger_than_a_minutes_tokens_are_too_large() {
    let large = "Request too large for gpt-x in organization o on tokens per min (TPM): Limit 30000, Requested 342389. The input or output tokens must be reduced in order to run successfully.";
    let small = "Rate limit reached for gpt-x in organization o on tokens per min (TPM): Limit 30000, Used 29000, Requested 1300. Please try again in 600ms.";
    for wire in WIRES {
        for stream in [false, true] {
            let error = |status: u16, message: &str, code: Option<&str>| {
                let body = json!({"error": {"message": message, "type": "tokens", "code": code}, "message": message});
                let answer = Answer::new(status, "application/json", body.to_string());
                let error = refused("any", wire, &answer, stream);
                (error.kind(), error.is_retryable())
            };
            let code = Some("rate_limit_exceeded");
            assert_eq!(
                error(429, large, code),
                (ErrorKind::TooLarge, false),
                "{wire}"
            );
            assert_eq!(
                error(413, large, code),
                (ErrorKind::TooLarge, false),
                "{wire}"
            );
            assert_eq!(
                error(413, "No.", None),
                (ErrorKind::TooLarge, false),
                "{wire}"
            );
            assert_eq!(
                error(413, "No.", Some("server_error")).0,
                ErrorKind::TooLarge,
                "{wire}"
            );
            assert_eq!(
                error(429, small, code),
                (ErrorKind::RateLimit, true),
                "{wire}"
            );
        }
    }
    let overflow = json!({"error": {"message": "m", "code": "context_length_exceeded"}});
    assert_eq!(kind(413, &overflow).0, ErrorKind::ContextOverflow);
}

/// LiteLLM names its error class only in the message.
#[test]
fn a_class_in_the_message_of_litellm_is_read() {
    for (class, wanted) in [
        ("ContextWindowExceededError", ErrorKind::ContextOverflow),
        ("ContentPolicyViolationError", ErrorKind::ContentFiltered),
        ("BadRequestError", ErrorKind::BadRequest),
    ] {
        let message = format!(
            "litellm.BadRequestError: litellm.{class}: XException - too much\nReceived Model Group=m"
        );
        let body =
            json!({"error": {"message": message, "type": null, "param": null, "code": "400"}});
        for wire in ["openai-chat", "openai-responses", "anthropic-messages"] {
            let answer = Answer::new(400, "application/json", body.to_string());
            assert_eq!(
                refused("litellm", wire, &answer, false).kind(),
                wanted,
                "{wire}"
            );
        }
    }
}

/// A message may quote the prompt, so a textual code has precedence.
#[test]
fn a_class_that_a_message_quotes_is_not_the_errors_own() {
    let message = "Invalid value: 'what is a ContextWindowExceededError?'";
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "invalid_value"}});
    let answer = Answer::new(400, "application/json", body.to_string());
    let error = refused("litellm", "openai-chat", &answer, false);
    assert_eq!(error.kind(), ErrorKind::BadRequest);
}

/// A gateway that had begun a stream frames the error as an event, with an error status.
#[test]
fn an_error_body_that_is_framed_as_an_event_is_read() {
    for (body, kind) in [
        (
            "data: {\"error\": {\"message\": \"m\", \"code\": \"c\"}}\n\n",
            ErrorKind::InternalServer,
        ),
        (
            "event: error\r\ndata: {\"error\": {\"message\": \"m\", \"code\": \"c\"}}\r\n\r\ndata: [DONE]\r\n\r\n",
            ErrorKind::InternalServer,
        ),
        (
            ": ping\n\ndata:{\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\"}}",
            ErrorKind::QuotaExceeded,
        ),
        // Over several lines, joined by one line feed.
        (
            "data: {\"error\":\ndata: {\"message\": \"m\",\ndata:\"code\": \"insufficient_quota\"}}\n\n",
            ErrorKind::QuotaExceeded,
        ),
        (
            "\u{feff}: an error\r\nevent: error\r\ndata: {\"error\":\r\ndata: {\"message\": \"m\", \"code\": \"insufficient_quota\"}}\r\n\r\ndata: [DONE]\r\n\r\n",
            ErrorKind::QuotaExceeded,
        ),
        (
            "id: 1\rretry: 5\revent: error\rdata: {\"error\":\rdata: {\"message\": \"m\", \"code\": \"insufficient_quota\"}}",
            ErrorKind::QuotaExceeded,
        ),
        (
            "data: [{\"error\":\ndata: {\"message\": \"m\", \"code\": \"insufficient_quota\"}}]\n\n",
            ErrorKind::QuotaExceeded,
        ),
        // After another event, without a blank line before it.
        (
            "data: {\"choices\": []}\n\ndata: {\"error\":\ndata: {\"message\": \"m\", \"code\": \"insufficient_quota\"}}\n",
            ErrorKind::QuotaExceeded,
        ),
        (
            "data: {\"error\": {\"message\": \"m\", \"code\": \"insufficient_quota\"}}\ndata: [DONE]\n",
            ErrorKind::QuotaExceeded,
        ),
    ] {
        for wire in WIRES {
            for content_type in ["text/event-stream", "application/json"] {
                let answer = Answer::new(500, content_type, body);
                let error = refused("any", wire, &answer, true);
                assert_eq!(
                    (error.kind(), error.message()),
                    (kind, "m"),
                    "{wire} {body}"
                );
            }
        }
    }
}

/// Gateways send their own error format with every API, also with status 200.
#[test]
fn error_of_another_shape_instead_of_a_response_is_read() {
    let message = "Your account has insufficient balance.";
    let base = json!({"status_code": 1008, "status_msg": "balance"});
    for wire in WIRES {
        for body in [
            json!({"error": {"message": message, "code": "x"}}),
            json!({"error": message}),
            json!({"message": message, "code": "x"}),
            json!({"type": "error", "error": {"type": "api_error", "message": message}}),
            json!([{"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}}]),
            json!({"id": "x", "choices": null, "usage": {"total_tokens": 0}, "base_resp": base}),
        ] {
            let event = format!("data: {body}\n\n");
            let mut answers = vec![(false, Answer::json(body.to_string()))];
            if !["ollama", "bedrock-converse"].contains(wire) {
                answers.push((true, Answer::json(body.to_string())));
                answers.push((true, Answer::sse(event)));
            }
            for (stream, answer) in answers {
                let error = refused("any", wire, &answer, stream);
                assert_eq!(
                    error.kind(),
                    ErrorKind::QuotaExceeded,
                    "{wire} {stream} {body}"
                );
            }
        }
        // What is no error stays what it is.
        let error = refused(
            "any",
            wire,
            &Answer::json(r#"{"greeting": "hello"}"#),
            false,
        );
        assert_eq!(error.kind(), ErrorKind::Protocol, "{wire} {error}");
    }
}
