//! Which servers sign the thinking of their models, and where unsigned thinking is from.
//!
//! Anthropic refuses thinking without its signature. Other servers of this wire sign nothing and refuse a turn with calls that
//! lacks its thinking. Servers that are not known are judged by what they sent: a message with unsigned thinking of theirs ends
//! with an opaque block that names the server, and the thinking goes back to that server alone.

use super::BLOCK_PROVIDER;
use crate::{
    ContentPart, Error, Json,
    chat::ProviderBlock,
    provider::{BaseUrl, kit::json_object::JsonObject},
};
use std::collections::BTreeMap;

/// The member of an opaque block that names the server which wrote the unsigned thinking of a message.
const ORIGIN: &str = "unsigned_thinking_of";

/// Where the models are, as far as it concerns signatures.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// The provider's name and address. Behind one address a gateway can have several servers.
    identity: String,
    signing: Signing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signing {
    /// Thinking without a signature is refused.
    Always,
    /// Thinking has no signature and goes back without one.
    Never,
    Unknown,
}

/// Hosts, or ends of their names that begin with a dot. Sources: Anthropic's documentation of extended thinking; for the others
/// NousResearch/hermes-agent#17510 and #67391, earendil-works/pi#4003 and #4464, leookun/cursor-byok#276.
const HOSTS: [(&str, Signing); 8] = [
    ("api.anthropic.com", Signing::Always),
    (".services.ai.azure.com", Signing::Always),
    ("aiplatform.googleapis.com", Signing::Always),
    ("-aiplatform.googleapis.com", Signing::Always),
    ("api.kimi.com", Signing::Never),
    ("api.moonshot.ai", Signing::Never),
    ("api.moonshot.cn", Signing::Never),
    ("api.deepseek.com", Signing::Never),
];

impl Server {
    /// The server of the provider `name` at this address.
    pub(super) fn at(name: &str, base_url: &BaseUrl) -> Self {
        let host = base_url.host().to_ascii_lowercase();
        let is_named = |name: &str| match name.starts_with(['.', '-']) {
            true => host.ends_with(name),
            false => host == name,
        };
        let known = HOSTS.iter().find(|(name, _)| is_named(name));
        Server {
            identity: [name, " ", base_url.as_str()].concat().to_ascii_lowercase(),
            signing: known.map_or(Signing::Unknown, |(_, signing)| *signing),
        }
    }

    /// Whether the server takes back the thoughts without a signature in a message of these parts.
    pub(super) fn takes_unsigned(&self, parts: &[ContentPart]) -> bool {
        match self.signing {
            Signing::Always => false,
            Signing::Never => true,
            Signing::Unknown => parts.iter().any(|part| match part {
                ContentPart::ProviderBlock(block) => {
                    origin(block).is_some_and(|origin| origin == self.identity)
                }
                _ => false,
            }),
        }
    }

    /// What ends a message with thinking that the server did not sign.
    pub(super) fn origin_block(&self) -> Result<Option<ProviderBlock>, Error> {
        if self.signing != Signing::Unknown {
            return Ok(None);
        }
        let block = Json::new(&BTreeMap::from([(ORIGIN, &self.identity)]))?;
        Ok(Some(ProviderBlock::new(BLOCK_PROVIDER, block)))
    }
}

/// Whether a block does nothing but name a server.
pub(super) fn is_origin(block: &ProviderBlock) -> bool {
    origin(block).is_some()
}

fn origin(block: &ProviderBlock) -> Option<String> {
    let members =
        JsonObject::read(block.block.as_str()).filter(|_| block.provider == BLOCK_PROVIDER)?;
    members.get(ORIGIN)?.decode().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_is_matched_by_full_host_name() {
        for (url, signing) in [
            ("https://api.anthropic.com/v1", Signing::Always),
            ("https://API.Anthropic.com:443/v1", Signing::Always),
            (
                "https://x.services.ai.azure.com/anthropic/v1",
                Signing::Always,
            ),
            (
                "https://us-east5-aiplatform.googleapis.com/v1",
                Signing::Always,
            ),
            ("https://api.kimi.com/coding/v1", Signing::Never),
            ("https://api.deepseek.com/anthropic/v1", Signing::Never),
            ("https://api.anthropic.com.example/v1", Signing::Unknown),
            ("https://notapi.kimi.com/v1", Signing::Unknown),
            ("http://127.0.0.1:9/v1", Signing::Unknown),
        ] {
            let server = Server::at("anthropic", &BaseUrl::parse(url).unwrap());
            assert_eq!(server.signing, signing, "{url}");
        }
    }

    #[test]
    fn unsigned_thinking_goes_back_to_the_server_that_the_message_names() {
        let at = |name, url| Server::at(name, &BaseUrl::parse(url).unwrap());
        let server = |url| at("local", url);
        let local = server("http://127.0.0.1:9/v1");
        let block = ContentPart::ProviderBlock(local.origin_block().unwrap().unwrap());
        assert!(local.takes_unsigned(std::slice::from_ref(&block)));
        assert!(!local.takes_unsigned(&[]));
        for other in [
            server("http://127.0.0.1:8/v1"),
            server("http://127.0.0.1:9/other/v1"),
            at("anthropic", "http://127.0.0.1:9/v1"),
        ] {
            assert!(
                !other.takes_unsigned(std::slice::from_ref(&block)),
                "{other:?}"
            );
        }
        assert!(
            !server("https://api.anthropic.com/v1").takes_unsigned(std::slice::from_ref(&block))
        );
        let kimi = server("https://api.kimi.com/coding/v1");
        assert!(kimi.takes_unsigned(&[]) && kimi.origin_block().unwrap().is_none());
    }
}
