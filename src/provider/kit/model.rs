//! Lists of models, and the recognition of a provider's own model names.

use super::lenient::{List, Raw, too_large};
use crate::{Error, Json, json::Budget, provider::BaseUrl};
use serde::Serialize;

/// A model of a provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// The value for [`ChatRequest::model`](crate::ChatRequest::model).
    pub id: String,
    /// The provider.
    pub provider: String,
    /// A display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<String>,
    /// Creation time, in seconds since 1970; Cerebras sends 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Maximum number of prompt and completion tokens together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// The provider's own JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Json>,
}

/// The models of a list in a body of this many bytes; elements that are not models are skipped.
pub(in crate::provider) fn read_models(
    body: usize,
    list: List<Raw<'_>>,
    provider: &str,
    read: impl Fn(&str, Raw<'_>) -> Option<Model>,
) -> Result<Vec<Model>, Error> {
    let each = size_of::<Model>().saturating_add(provider.len());
    Budget::of(body)
        .charge(list.0.len().saturating_mul(each))
        .map_err(|_| too_large(body))?;
    let mut models = Vec::with_capacity(list.0.len());
    models.extend(list.0.into_iter().filter_map(|raw| read(provider, raw)));
    Ok(models)
}

impl Model {
    /// Creates a model of which only the id is known.
    #[must_use]
    pub fn new(provider: impl Into<String>, id: impl Into<String>) -> Self {
        Model {
            id: id.into(),
            provider: provider.into(),
            ..Model::default()
        }
    }
}

// Model ids that begin with a vendor's name.

/// Vendors whose names begin Bedrock's model ids, before a dot. Source: the table of supported models in Bedrock's
/// user guide, and recorded lists.
pub(crate) const BEDROCK_VENDORS: &[&str] = &[
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "luma",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
    "stability",
    "twelvelabs",
    "writer",
    "xai",
    "zai",
];

/// The prefixes before a vendor in the id of an inference profile. Source: the user guide's table of inference
/// profiles.
const BEDROCK_REGIONS: [&str; 9] = [
    "apac", "au", "ca", "eu", "global", "jp", "sa", "us", "us-gov",
];

/// The vendors whose names begin a server's model ids: those of its profile, or Bedrock's for one of Bedrock's hosts,
/// which support several APIs.
pub(crate) fn vendors_at(
    base_url: &BaseUrl,
    vendors: &'static [&'static str],
) -> &'static [&'static str] {
    let host = base_url.host().to_ascii_lowercase();
    let is_bedrock = (host.starts_with("bedrock-mantle.") && host.ends_with(".api.aws"))
        || (host.starts_with("bedrock-runtime") && host.ends_with(".amazonaws.com"));
    if is_bedrock { BEDROCK_VENDORS } else { vendors }
}

/// Whether a name begins with one of `vendors` and a dot, perhaps after a region. Case does not matter.
pub(crate) fn has_vendor_prefix(model: &str, vendors: &[&str]) -> bool {
    let Some((first, rest)) = model.split_once('.') else {
        return false;
    };
    let is_one_of = |word: &str, words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(word));
    let vendor = match is_one_of(first, &BEDROCK_REGIONS) {
        true => rest.split_once('.').map(|(vendor, _)| vendor),
        false => Some(first),
    };
    vendor.is_some_and(|vendor| is_one_of(vendor, vendors))
}

/// The model of an inference profile: its id without the region before the vendor, also at the end of an ARN.
#[cfg(feature = "bedrock")]
pub(crate) fn without_region(id: &str) -> &str {
    let base = match id.rsplit_once("inference-profile/") {
        Some((before, profile)) if !before.ends_with("application-") => profile,
        _ => id,
    };
    match base.split_once('.') {
        Some((region, rest))
            if BEDROCK_REGIONS.contains(&region) && has_vendor_prefix(rest, BEDROCK_VENDORS) =>
        {
            rest
        }
        _ => base,
    }
}

#[cfg(test)]
mod model_ids_tests {
    use super::*;

    #[test]
    fn a_bedrock_host_has_bedrocks_ids_with_any_api() {
        for (url, is_bedrock) in [
            ("https://bedrock-mantle.us-east-1.api.aws/v1", true),
            (
                "https://Bedrock-Runtime.us-west-2.amazonaws.com/openai/v1",
                true,
            ),
            (
                "https://bedrock-runtime-fips.us-west-2.amazonaws.com/openai/v1",
                true,
            ),
            ("https://api.openai.com/v1", false),
            (
                "https://bedrock-mantle.us-east-1.api.aws.example.com/v1",
                false,
            ),
            (
                "https://example.com/bedrock-mantle.us-east-1.api.aws",
                false,
            ),
        ] {
            let vendors = vendors_at(&BaseUrl::parse(url).unwrap(), &[]);
            assert_eq!(!vendors.is_empty(), is_bedrock, "{url}");
        }
    }

    #[cfg(feature = "bedrock")]
    #[test]
    fn profile_is_its_model_without_the_region() {
        let profile = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x-v1:0";
        let application = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc";
        for (id, model) in [
            ("us.anthropic.claude-x-v1:0", "anthropic.claude-x-v1:0"),
            ("us-gov.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
            ("anthropic.claude-x-v1:0", "anthropic.claude-x-v1:0"),
            ("us.gpt", "us.gpt"),
            (profile, "anthropic.claude-x-v1:0"),
            (application, application),
        ] {
            assert_eq!(without_region(id), model);
        }
    }

    #[test]
    fn bedrock_ids_are_recognised_by_vendor_prefix() {
        for (model, is_own) in [
            ("openai.gpt-oss-120b-1:0", true),
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", true),
            ("us.anthropic.claude-opus-4-1-20250805-v1:0", true),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", true),
            ("us-gov.amazon.nova-lite-v1:0", true),
            ("cohere.embed-english-v3", true),
            ("cerebras.gpt-oss-120b", false),
            ("groq.llama-3.3", false),
            ("gpt-4.1", false),
            ("us.gpt", false),
            ("openai", false),
            ("", false),
        ] {
            assert_eq!(has_vendor_prefix(model, BEDROCK_VENDORS), is_own, "{model}");
        }
    }
}
