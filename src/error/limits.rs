//! Distinguishes temporary limits, such as requests per minute, from lasting ones, such as exhausted credit.
//!
//! Providers use the same status for both and differ only in codes and messages. Sources: the providers' error
//! references, recordings and reports of users; each entry names the provider that uses it.

use super::{ErrorBody, phrases};

/// The duration of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Seconds or minutes, or until other requests end.
    Passing,
    /// A day or longer, or until the account is paid.
    Lasting,
}

/// Codes and types of a lasting limit that contain none of the phrases below, written as `phrases::normal` gives them.
const CODES: &[&str] = &[
    "arrearage",                         // Alibaba
    "allocation quota free tier only",   // Alibaba
    "exceeded current quota error",      // Moonshot
    "billing error",                     // Anthropic
    "billing not active",                // OpenAI
    "billing disabled",                  // Google
    "quota exceeded",                    // Copilot
    "quota exhausted",                   // Google
    "service quota exceeded exception",  // Bedrock
    "organization usage limit exceeded", // OpenAI
    "usage limit reached",               // ChatGPT
    "usage limit exceeded",              // gateways
    "free usage limit error",            // gateways
    "plan limit reached",                // gateways
    "organization quota exceeded",       // gateways
    "account quota exceeded",            // gateways
    "balance depleted",                  // gateways
    "payment required",                  // the name of status 402
    "1113",                              // Z.ai: in arrears
    "1304",                              // Z.ai: calls of a day
    "1308",                              // Z.ai: usage limit of a plan
    "1309",                              // Z.ai: the plan has ended
    "1310",                              // Z.ai: usage limit of a week or month
    "1008",                              // MiniMax: balance
    "2056",                              // MiniMax: usage limit of a plan
    "4006",                              // Cloudflare: free neurons of a day
];

/// Phrases about money and plans; they are lasting whatever the status.
const MONEY: &[&str] = &[
    "insufficient balance",             // MiniMax, Z.ai, DeepSeek, Moonshot
    "insufficient account balance",     // gateways
    "insufficient usd or diem balance", // Venice
    "insufficient g1 credits",          // Google
    "insufficient credit",              // OpenRouter
    "insufficient credits",             // OpenRouter
    "insufficient fund",                // Vercel
    "insufficient funds",               // Vercel
    "insufficient quota",               // OpenAI, Perplexity
    "insufficient user quota",          // gateways
    "balance is insufficient",          // SiliconFlow
    "balance not enough",               // Novita
    "not enough balance",               // Novita
    "not enough credit",                // gateways
    "not enough credits",               // gateways
    "credit balance is too low",        // Anthropic
    "credit balance exhausted",         // OpenAI
    "out of credits",                   // xAI
    "out of funds",                     // gateways
    "used all available credits",       // xAI
    "any credits",                      // xAI: "doesn't have any credits"
    "requires more credits",            // OpenRouter
    "credits are depleted",             // Gemini
    "credits have been exhausted",      // gateways
    "credits exhausted",                // gateways
    "credits expired",                  // NVIDIA
    "exhausted your credits",           // gateways
    "monthly included credits",         // Hugging Face
    "credit limit exceeded",            // Together
    "usage credits are required",       // Anthropic
    "extra usage is required",          // Anthropic
    "overdue balance",                  // Volcengine
    "overdue payment",                  // Alibaba
    "bill overdue",                     // Alibaba
    "account overdue",                  // Volcengine
    "service overdue",                  // Volcengine
    "account is overdue",               // gateways
    "in arrears",                       // Z.ai
    "account is in good standing",      // Alibaba
    "billing hard limit",               // OpenAI
    "spending limit",                   // xAI, Fireworks
    "spend limit",                      // OpenAI, Anthropic
    "spending cap",                     // Gemini
    "spend cap",                        // Gemini
    "budget has been exceeded",         // LiteLLM
    "budget exceeded",                  // LiteLLM
    "exceeded budget",                  // LiteLLM
    "over budget",                      // LiteLLM
    "crossed budget",                   // LiteLLM
    "please recharge",                  // Z.ai, Moonshot
    "quota has been exhausted",         // gateways
    "quota is exhausted",               // gateways
    "have no quota",                    // Copilot
    "call volume quota",                // Azure
    "free tier of the model has been exhausted", // Alibaba
    "free allocation",                  // Cloudflare
    "free allocated quota",             // Alibaba
    "free quota",                       // Gemini, Alibaba
    "hour allocated quota",             // Alibaba: a plan of five hours
    "week allocated quota",             // Alibaba
    "month allocated quota",            // Alibaba
    "individual quota reached",         // Google
    "premium request allowance",        // Copilot
    "api usage limits",                 // Anthropic
    "session usage limit",              // Ollama
    "hourly usage limit",               // Ollama
    "usage limit exceeded",             // MiniMax: of a plan
    "usage limit has been reached",     // ChatGPT
    "usage limit reached",              // gateways
    "余额不足",                         // Z.ai, MiniMax: balance
    "欠费",                             // Z.ai, Alibaba: arrears
    "额度不足",                         // gateways: quota
    "额度已用",                         // Moonshot, Alibaba: quota used up
    "使用上限",                         // Z.ai: usage limit of a plan
];

/// Phrases for long periods. They count only in a rate-limit error.
const LONG_PERIODS: &[&str] = &[
    "per day",
    "by day", // GitHub Models: `UserByModelByDay`
    "/day",
    "/ day",
    "a day",
    "daily",
    "rpd",
    "tpd",
    "per 86400s",
    "per week",
    "/week",
    "/ week",
    "weekly",
    "per month",
    "/month",
    "/ month",
    "a month",
    "monthly",
    "今日",
    "每日",
    "每天",
    "每周",
    "每月",
    "24 hours",
    "24h",
];

/// Phrases for temporary limits.
const SHORT_PERIODS: &[&str] = &[
    "per minute",
    "per min",
    "by minute",
    "/minute",
    "/ minute",
    "/min",
    "/ min",
    "a minute",
    "rpm",
    "tpm",
    "itpm",
    "otpm",
    "per second",
    "per sec",
    "by second",
    "/second",
    "/ second",
    "/sec",
    "a second",
    "rps",
    "qps",
    "tps",
    "per hour",
    "/hour",
    "/ hour",
    "hourly",
    "concurrent",
    "concurrency",
    "concurrently",
    "in parallel",
    "parallel requests",
    "per 10s",
    "per 60s",
    "every minute",
    "every second",
    "increased too quickly",    // Alibaba
    "allocated quota exceeded", // Alibaba: tokens of a minute
    "error code#token limit",   // Alibaba: the address of the page about them
    "每分钟",
    "每秒",
    "并发",
    "频率",
];

/// Phrases for both kinds of limit; they count as lasting if no wait is given.
const VAGUE: &[&str] = &["exceeded your current quota", "exceeded current quota"];

/// Words that must occur next to a period to make it a limit.
const LIMIT_PHRASES: [&str; 4] = ["limit", "quota", "allocation", "allowance"];
const REACHED_PHRASES: [&str; 5] = ["exceed", "reach", "exhaust", "used up", "out of"];

/// The limit that an error names, if any. `is_rate_limit`: code or status say that a limit was exceeded.
pub(super) fn limit(body: &ErrorBody, is_rate_limit: bool) -> Option<Limit> {
    let message = phrases::normal(&spaced_words(body));
    let codes = [&body.code, &body.error_type].map(|word| {
        let word = word.as_deref().unwrap_or_default();
        // AWS: `com.amazon.coral.service#ThrottlingException:http://..`
        phrases::normal(word.rsplit('#').next().unwrap_or(word))
    });
    let met = is_rate_limit || mentions_limit(&message);
    if is_rate_limit && (body.is_zero || phrases::numbers(&message, "limit").any(|n| n == 0)) {
        return Some(Limit::Lasting);
    }
    let named = body.limit.or_else(|| first(&message, met));
    if named.is_some() {
        return named;
    }
    let by_code = codes.iter().any(|code| CODES.contains(&code.trim_end()));
    if by_code
        || codes
            .iter()
            .any(|code| first(code, met) == Some(Limit::Lasting))
    {
        return Some(Limit::Lasting);
    }
    let is_vague = VAGUE.iter().any(|phrase| message.contains(phrase));
    let names_wait = body.retry_delay.is_some() || phrases::wait(&message).is_some();
    // Google uses this code for limits per minute, too.
    let is_google = body.code.as_deref() == Some("RESOURCE_EXHAUSTED");
    (is_vague && !names_wait && !is_google).then_some(Limit::Lasting)
}

/// The limit for a period in the name of a quota (`GenerateRequestsPerDayPerProject`).
pub(super) fn of_name(name: &str) -> Option<Limit> {
    first(&phrases::normal(name), true)
}

/// Whether a single request exceeds a limit, so that waiting does not help.
pub(super) fn is_too_large(body: &ErrorBody) -> bool {
    let message = phrases::normal(&spaced_words(body));
    let sizes = [
        phrases::numbers(&message, "requested").next(),
        phrases::numbers(&message, "limit").next(),
    ];
    match sizes {
        [Some(requested), Some(limit)] => limit > 0 && requested > limit,
        _ => phrases::normalized_phrase(&message, "request too large").is_some(),
    }
}

/// All texts of the error.
fn spaced_words(body: &ErrorBody) -> String {
    let texts = [&body.message, &body.quoted].into_iter().flatten();
    texts.map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The first phrase counts, because later ones are advice. Periods count only if a limit was exceeded (`met`).
fn first(text: &str, met: bool) -> Option<Limit> {
    let lasting = MONEY
        .iter()
        .chain(LONG_PERIODS.iter().filter(|_| met))
        .filter_map(|phrase| phrases::normalized_phrase(text, phrase))
        .min();
    let passing = SHORT_PERIODS
        .iter()
        .filter_map(|phrase| phrases::normalized_phrase(text, phrase))
        .min();
    match (lasting, passing) {
        (Some(lasting), Some(passing)) if passing < lasting => Some(Limit::Passing),
        (Some(_), _) => Some(Limit::Lasting),
        (None, Some(_)) => Some(Limit::Passing),
        (None, None) => None,
    }
}

fn mentions_limit(message: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    has(&LIMIT_PHRASES) && has(&REACHED_PHRASES)
}
