//! The lists of models and of inference profiles.

use serde_json::{Value, json};

use super::whole;
use crate::protocol::{Call, Reply};

pub(super) const MODELS: [(&str, &str, bool); 3] = [
    ("amazon.nova-lite-v1:0", "Amazon", true),
    (
        "anthropic.claude-loopback-20250101-v1:0",
        "Anthropic",
        false,
    ),
    ("openai.gpt-oss-120b-1:0", "OpenAI", true),
];

pub(super) fn summary((id, provider, on_demand): &(&str, &str, bool)) -> Value {
    json!({
        "modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{id}"), "modelId": id, "modelName": id,
        "providerName": provider, "inputModalities": ["TEXT"], "outputModalities": ["TEXT"],
        "responseStreamingSupported": true, "customizationsSupported": [],
        "inferenceTypesSupported": if *on_demand { &["ON_DEMAND"] } else { &["INFERENCE_PROFILE"] },
        "modelLifecycle": {"status": "ACTIVE"}, "description": null,
    })
}

/// One profile per page, unless more are requested.
pub(super) fn profiles(call: &Call<'_>) -> Reply {
    let query = call
        .request
        .path
        .split_once('?')
        .map_or("", |(_, query)| query);
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| {
            pair.strip_prefix(name)?
                .strip_prefix('=')?
                .parse::<usize>()
                .ok()
        })
    };
    let (from, count) = (
        parameter("nextToken").unwrap_or(0),
        parameter("maxResults").unwrap_or(1).max(1),
    );
    let profile = |(id, ..): &(&str, &str, bool)| {
        json!({
            "inferenceProfileId": format!("us.{id}"), "inferenceProfileName": format!("US {id}"),
            "inferenceProfileArn": format!("arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.{id}"),
            "status": "ACTIVE", "type": "SYSTEM_DEFINED",
            "models": [{"modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{id}")}],
        })
    };
    let page: Vec<Value> = MODELS.iter().skip(from).take(count).map(profile).collect();
    let mut body = json!({"inferenceProfileSummaries": page});
    if from + count < MODELS.len() {
        body["nextToken"] = (from + count).to_string().into();
    }
    whole(&body)
}
