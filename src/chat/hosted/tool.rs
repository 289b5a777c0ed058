use super::HostedToolKind;
use crate::{Error, Json, Secret, Tool};
use serde::Serialize;

/// A tool that the provider runs, with the settings that providers share.
///
/// Each API has some of the tools and some of their settings. What it lacks is refused by name before anything is sent,
/// as for any parameter. The provider's own settings are set with [`provider_options`](Self::provider_options).
///
/// ```
/// use serde_json::json;
/// use unifiedai::{ChatRequest, Tool};
///
/// let search = Tool::web_search()
///     .allowed_domains(["rust-lang.org"])
///     .max_uses(3)
///     .provider_options("anthropic", &json!({"type": "web_search_20260209"}))?;
/// let request = ChatRequest::new("claude-opus-4-8").user("What is new in Rust?").tool(search);
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HostedTool {
    /// The kind of the tool.
    pub kind: HostedToolKind,
    settings: Vec<(HostedToolSetting, Value)>,
    authorization: Option<Secret>,
    options: Vec<(String, Json)>,
}

/// A setting of a [`HostedTool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostedToolSetting {
    /// `max_uses`
    MaxUses,
    /// `allowed_domains`
    AllowedDomains,
    /// `blocked_domains`
    BlockedDomains,
    /// `user_location`
    UserLocation,
    /// `search_context_size`
    SearchContextSize,
    /// `max_content_tokens`
    MaxContentTokens,
    /// `citations`
    Citations,
    /// `container`
    Container,
    /// `files`
    Files,
    /// `stores`
    Stores,
    /// `max_results`
    MaxResults,
    /// `server`
    Server,
    /// `url`
    Url,
    /// `description`
    Description,
    /// `allowed_tools`
    AllowedTools,
    /// `require_approval`
    RequireApproval,
    /// `authorization`
    Authorization,
    /// `deferred`
    Deferred,
    /// `size`
    Size,
    /// `quality`
    Quality,
    /// `output_format`
    OutputFormat,
    /// `background`
    Background,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<String>),
    Location(UserLocation),
}

/// The approximate location of the user, for searches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UserLocation {
    /// The city.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// The region or state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The country, in two letters (ISO 3166-1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The time zone, such as `Europe/Lisbon`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

impl UserLocation {
    /// Creates the location of a country, in two letters.
    #[must_use]
    pub fn country(code: impl Into<String>) -> Self {
        UserLocation {
            country: Some(code.into()),
            ..Self::default()
        }
    }

    /// Sets the city.
    #[must_use]
    pub fn city(mut self, name: impl Into<String>) -> Self {
        self.city = Some(name.into());
        self
    }

    /// Sets the region or state.
    #[must_use]
    pub fn region(mut self, name: impl Into<String>) -> Self {
        self.region = Some(name.into());
        self
    }

    /// Sets the time zone.
    #[must_use]
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.timezone = Some(name.into());
        self
    }
}

/// # Tools that the provider runs
impl Tool {
    /// A search of the web.
    #[must_use]
    pub fn web_search() -> HostedTool {
        HostedTool::new(HostedToolKind::WebSearch)
    }

    /// Reads web pages and documents by their URL.
    #[must_use]
    pub fn web_fetch() -> HostedTool {
        HostedTool::new(HostedToolKind::WebFetch)
    }

    /// Runs code in a container of the provider.
    #[must_use]
    pub fn code_execution() -> HostedTool {
        HostedTool::new(HostedToolKind::CodeExecution)
    }

    /// A search of uploaded files. `stores` are the provider's ids of vector stores, or the names of its file search
    /// stores.
    #[must_use]
    pub fn file_search<S: Into<String>>(stores: impl IntoIterator<Item = S>) -> HostedTool {
        HostedTool::new(HostedToolKind::FileSearch).with(
            HostedToolSetting::Stores,
            Value::List(stores.into_iter().map(Into::into).collect()),
        )
    }

    /// The tools of an MCP server, which the provider calls. `name` is the server's name in the conversation.
    #[must_use]
    pub fn mcp(name: impl Into<String>, url: impl Into<String>) -> HostedTool {
        HostedTool::new(HostedToolKind::Mcp)
            .with(HostedToolSetting::Server, Value::Text(name.into()))
            .with(HostedToolSetting::Url, Value::Text(url.into()))
    }

    /// Finds functions by a search of the provider. `deferred` are the names of functions in `tools` whose definitions
    /// the model sees only once it found them.
    #[must_use]
    pub fn tool_search<S: Into<String>>(deferred: impl IntoIterator<Item = S>) -> HostedTool {
        HostedTool::new(HostedToolKind::ToolSearch).with(
            HostedToolSetting::Deferred,
            Value::List(deferred.into_iter().map(Into::into).collect()),
        )
    }

    /// Generates images.
    #[must_use]
    pub fn image_generation() -> HostedTool {
        HostedTool::new(HostedToolKind::ImageGeneration)
    }
}

impl HostedTool {
    /// Creates a tool of a kind, without settings.
    #[must_use]
    pub fn new(kind: HostedToolKind) -> Self {
        HostedTool {
            kind,
            settings: Vec::new(),
            authorization: None,
            options: Vec::new(),
        }
    }

    fn with(mut self, setting: HostedToolSetting, value: Value) -> Self {
        self.settings.retain(|(other, _)| *other != setting);
        self.settings.push((setting, value));
        self
    }

    fn with_list<S: Into<String>>(
        self,
        setting: HostedToolSetting,
        list: impl IntoIterator<Item = S>,
    ) -> Self {
        self.with(
            setting,
            Value::List(list.into_iter().map(Into::into).collect()),
        )
    }

    /// How often the model may call the tool in one response.
    #[must_use]
    pub fn max_uses(self, calls: u64) -> Self {
        self.with(HostedToolSetting::MaxUses, Value::Number(calls))
    }

    /// The only domains that a search or a fetch may use.
    #[must_use]
    pub fn allowed_domains<S: Into<String>>(self, domains: impl IntoIterator<Item = S>) -> Self {
        self.with_list(HostedToolSetting::AllowedDomains, domains)
    }

    /// Domains that a search or a fetch must not use.
    #[must_use]
    pub fn blocked_domains<S: Into<String>>(self, domains: impl IntoIterator<Item = S>) -> Self {
        self.with_list(HostedToolSetting::BlockedDomains, domains)
    }

    /// The location for which a search finds results.
    #[must_use]
    pub fn user_location(self, location: UserLocation) -> Self {
        self.with(HostedToolSetting::UserLocation, Value::Location(location))
    }

    /// How much of the search results the model reads: `low`, `medium` or `high`.
    #[must_use]
    pub fn search_context_size(self, size: impl Into<String>) -> Self {
        self.with(
            HostedToolSetting::SearchContextSize,
            Value::Text(size.into()),
        )
    }

    /// The maximum number of tokens of a fetched page.
    #[must_use]
    pub fn max_content_tokens(self, tokens: u64) -> Self {
        self.with(HostedToolSetting::MaxContentTokens, Value::Number(tokens))
    }

    /// Whether the model cites fetched pages.
    #[must_use]
    pub fn citations(self, on: bool) -> Self {
        self.with(HostedToolSetting::Citations, Value::Flag(on))
    }

    /// The provider's id of the container in which code runs, from an earlier response.
    #[must_use]
    pub fn container(self, id: impl Into<String>) -> Self {
        self.with(HostedToolSetting::Container, Value::Text(id.into()))
    }

    /// The provider's ids of files that code can read.
    #[must_use]
    pub fn files<S: Into<String>>(self, ids: impl IntoIterator<Item = S>) -> Self {
        self.with_list(HostedToolSetting::Files, ids)
    }

    /// The maximum number of passages that a file search finds.
    #[must_use]
    pub fn max_results(self, passages: u64) -> Self {
        self.with(HostedToolSetting::MaxResults, Value::Number(passages))
    }

    /// A description of an MCP server for the model.
    #[must_use]
    pub fn description(self, text: impl Into<String>) -> Self {
        self.with(HostedToolSetting::Description, Value::Text(text.into()))
    }

    /// The only tools of an MCP server that the model may call.
    #[must_use]
    pub fn allowed_tools<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        self.with_list(HostedToolSetting::AllowedTools, names)
    }

    /// Whether each call of an MCP server's tool needs an approval; see
    /// [`HostedToolCall::needs_approval`](super::HostedToolCall::needs_approval). If unset, the provider decides.
    #[must_use]
    pub fn require_approval(self, on: bool) -> Self {
        self.with(HostedToolSetting::RequireApproval, Value::Flag(on))
    }

    /// The token with which the provider authenticates at an MCP server. Every target of the request gets it, because
    /// each of them calls the server.
    ///
    /// # Errors
    /// `invalid_request` if it is empty or contains anything except visible ASCII characters.
    pub fn authorization(mut self, token: impl Into<String>) -> Result<Self, Error> {
        self.authorization = Some(Secret::new(token)?);
        Ok(self)
    }

    /// The size of generated images, such as `1024x1024`.
    #[must_use]
    pub fn size(self, size: impl Into<String>) -> Self {
        self.with(HostedToolSetting::Size, Value::Text(size.into()))
    }

    /// The quality of generated images: `low`, `medium` or `high`.
    #[must_use]
    pub fn quality(self, quality: impl Into<String>) -> Self {
        self.with(HostedToolSetting::Quality, Value::Text(quality.into()))
    }

    /// The format of generated images, such as `png`.
    #[must_use]
    pub fn output_format(self, format: impl Into<String>) -> Self {
        self.with(HostedToolSetting::OutputFormat, Value::Text(format.into()))
    }

    /// The background of generated images, such as `transparent`.
    #[must_use]
    pub fn background(self, background: impl Into<String>) -> Self {
        self.with(
            HostedToolSetting::Background,
            Value::Text(background.into()),
        )
    }

    /// Members of the tool's JSON object at one provider, merged last. Other providers ignore them. The name is the
    /// provider's or its API's, as in [`Tool::Provider`].
    ///
    /// # Errors
    /// `invalid_request` if `members` cannot be serialised as JSON.
    pub fn provider_options<T: Serialize + ?Sized>(
        mut self,
        provider: impl Into<String>,
        members: &T,
    ) -> Result<Self, Error> {
        self.options.push((provider.into(), Json::new(members)?));
        Ok(self)
    }

    /// The settings that are set, in order.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (HostedToolSetting, &Value)> {
        self.settings
            .iter()
            .map(|(setting, value)| (*setting, value))
    }

    /// The text of a setting.
    pub(crate) fn text(&self, setting: HostedToolSetting) -> Option<&str> {
        self.settings().find_map(|(other, value)| match value {
            Value::Text(text) if other == setting => Some(text.as_str()),
            _ => None,
        })
    }

    /// The elements of a setting; empty if it is not set.
    pub(crate) fn list(&self, setting: HostedToolSetting) -> &[String] {
        let found = self.settings().find_map(|(other, value)| match value {
            Value::List(list) if other == setting => Some(list.as_slice()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    pub(crate) fn token(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// The members for a provider with one of these names.
    pub(crate) fn options_of(&self, names: &[&str]) -> impl Iterator<Item = &Json> {
        self.options
            .iter()
            .filter(move |(provider, _)| names.contains(&provider.as_str()))
            .map(|(_, members)| members)
    }
}

impl HostedToolSetting {
    /// The name of the method that sets it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HostedToolSetting::MaxUses => "max_uses",
            HostedToolSetting::AllowedDomains => "allowed_domains",
            HostedToolSetting::BlockedDomains => "blocked_domains",
            HostedToolSetting::UserLocation => "user_location",
            HostedToolSetting::SearchContextSize => "search_context_size",
            HostedToolSetting::MaxContentTokens => "max_content_tokens",
            HostedToolSetting::Citations => "citations",
            HostedToolSetting::Container => "container",
            HostedToolSetting::Files => "files",
            HostedToolSetting::Stores => "stores",
            HostedToolSetting::MaxResults => "max_results",
            HostedToolSetting::Server => "server",
            HostedToolSetting::Url => "url",
            HostedToolSetting::Description => "description",
            HostedToolSetting::AllowedTools => "allowed_tools",
            HostedToolSetting::RequireApproval => "require_approval",
            HostedToolSetting::Authorization => "authorization",
            HostedToolSetting::Deferred => "deferred",
            HostedToolSetting::Size => "size",
            HostedToolSetting::Quality => "quality",
            HostedToolSetting::OutputFormat => "output_format",
            HostedToolSetting::Background => "background",
        }
    }
}

impl From<HostedTool> for Tool {
    fn from(tool: HostedTool) -> Self {
        Tool::Hosted(Box::new(tool))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_replaces_an_earlier_one_and_the_token_is_not_shown() {
        let tool = Tool::mcp("files", "https://mcp.example.com")
            .allowed_tools(["read"])
            .allowed_tools(["list"])
            .authorization("canary-token")
            .unwrap();
        assert_eq!(tool.list(HostedToolSetting::AllowedTools), ["list"]);
        assert_eq!(
            tool.text(HostedToolSetting::Url),
            Some("https://mcp.example.com")
        );
        assert!(!format!("{tool:?}").contains("canary"));
        assert!(Tool::web_search().authorization("a b").is_err());
    }
}
