//! Removes from recordings: keys in headers and URLs, ids of accounts, and both wherever a response repeats them.

use crate::error::hidden;
use http::{HeaderMap, Uri};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

const REDACTED: &str = "[REDACTED]";

/// Parts of the names of headers and parameters whose values are secrets.
const SECRET_NAME_PARTS: [&str; 14] = [
    "authorization",
    "auth",
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "cookie",
    "credential",
    "credentials",
    "signature",
    "sig",
    "session",
    "csrf",
];

/// Parts of the names of headers and parameters whose values identify the caller.
const IDENTITY_NAME_PARTS: [&str; 9] = [
    "organization",
    "organisation",
    "org",
    "project",
    "account",
    "tenant",
    "workspace",
    "subscription",
    "customer",
];

/// Names that contain such a part but are harmless.
const HARMLESS: [&str; 4] = [
    "idempotency-key",
    "page_token",
    "next_page_token",
    "sec-websocket-key",
];

/// Path segments that precede an id: `/accounts/<id>/ai/v1`.
const COLLECTIONS: [&str; 8] = [
    "accounts",
    "projects",
    "organizations",
    "orgs",
    "subscriptions",
    "resourceGroups",
    "tenants",
    "workspaces",
];

/// Hosts whose first label names the customer's account, workspace or resource.
const HOSTS_OF_CUSTOMERS: [&str; 14] = [
    ".openai.azure.com",
    ".openai.azure.us",
    ".services.ai.azure.com",
    ".cognitiveservices.azure.com",
    ".models.ai.azure.com",
    ".inference.ml.azure.com",
    ".azure-api.net",
    ".azuredatabricks.net",
    ".cloud.databricks.com",
    ".gcp.databricks.com",
    ".snowflakecomputing.com",
    ".endpoints.huggingface.cloud",
    ".vpce.amazonaws.com",
    ".workers.dev",
];

/// Replaces a part of a host. Brackets would make it an IPv6 address.
const REDACTED_HOST: &str = "redacted";

/// Prefixes of OpenAI's ids, in any text.
const PREFIXES: [&str; 4] = ["org-", "org_", "proj-", "proj_"];

/// The content of a header or parameter, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Secret,
    Identity,
    Neither,
}

fn holds(name: &str) -> Holds {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| name.split(['-', '_']).any(|word| words.contains(&word));
    match () {
        () if HARMLESS.contains(&name.as_str()) => Holds::Neither,
        () if has(&SECRET_NAME_PARTS) => Holds::Secret,
        () if has(&IDENTITY_NAME_PARTS) => Holds::Identity,
        () => Holds::Neither,
    }
}

/// The secrets of one request.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    /// Shows only the number of secrets: the public type that contains this has a `Debug` too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Returns headers without secrets. Their secrets are also removed from everything that follows.
    pub(super) fn headers(&mut self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        for (name, value) in headers {
            let Ok(text) = value.to_str() else { continue };
            let text = match holds(name.as_str()) {
                Holds::Neither if name == http::header::HOST => self.host(text),
                Holds::Neither if !value.is_sensitive() => self.text(text),
                Holds::Identity => self.identity(text),
                _ => {
                    // Without the scheme: `Bearer <key>`.
                    self.add(text.split_whitespace().next_back().unwrap_or_default());
                    REDACTED.to_owned()
                }
            };
            kept.insert(name.as_str().to_owned(), text);
        }
        kept
    }

    /// Returns a URL without secrets.
    pub(super) fn url(&mut self, uri: &Uri) -> String {
        let mut url = String::new();
        if let Some(scheme) = uri.scheme_str() {
            url.extend([scheme, "://"]);
        }
        if let Some(authority) = uri.authority() {
            let at = authority.as_str().rsplit_once('@');
            if let Some((user, _)) = at {
                user.split(':').for_each(|part| self.add(part));
            }
            url.push_str(&self.host(at.map_or(authority.as_str(), |(_, host)| host)));
        }
        url.push_str(&self.path(uri.path()));
        if let Some(query) = uri.query() {
            url.push('?');
            url.push_str(&self.query(query));
        }
        url
    }

    /// Returns a host without the customer's account, and without labels between it and the provider.
    fn host(&mut self, host: &str) -> String {
        let lower = host.to_ascii_lowercase();
        let (name, port) = match lower.split_once(':') {
            Some((name, _)) => host.split_at_checked(name.len()).unwrap_or((host, "")),
            None => (host, ""),
        };
        let of_customer = HOSTS_OF_CUSTOMERS.iter().find_map(|suffix| {
            let length = name.len().checked_sub(suffix.len())?;
            let (own, end) = name.split_at_checked(length)?;
            (end.eq_ignore_ascii_case(suffix) && !own.is_empty()).then_some((own, end))
        });
        let Some((own, end)) = of_customer else {
            return host.to_owned();
        };
        // A region and a service may follow the account.
        let (account, rest) = own.split_once('.').map_or((own, ""), |(account, _)| {
            own.split_at_checked(account.len()).unwrap_or((own, ""))
        });
        self.id(account);
        [REDACTED_HOST, rest, end, port].concat()
    }

    fn query(&mut self, query: &str) -> String {
        let parameters = query.split('&').map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match holds(name) {
                Holds::Secret => {
                    self.add(value);
                    [name, REDACTED].join("=")
                }
                Holds::Identity => [name, &self.identity(value)].join("="),
                Holds::Neither => parameter.to_owned(),
            }
        });
        parameters.collect::<Vec<_>>().join("&")
    }

    fn path(&mut self, path: &str) -> String {
        let mut before = "";
        let mut segments = Vec::new();
        for segment in path.split('/') {
            let is_of_collection = COLLECTIONS
                .iter()
                .any(|name| name.eq_ignore_ascii_case(before));
            let is_id =
                (is_of_collection && !segment.is_empty()) || is_account_of_cloudflare(segment);
            segments.push(match is_id {
                true => {
                    self.id(segment);
                    REDACTED.to_owned()
                }
                false => without_ids(segment),
            });
            before = segment;
        }
        segments.join("/")
    }

    /// Redacts a value that identifies the caller. A value with a digit is an id, and is also removed elsewhere like
    /// a key.
    fn identity(&mut self, value: &str) -> String {
        if value.bytes().any(|byte| byte.is_ascii_digit()) {
            self.add(value);
        }
        REDACTED.to_owned()
    }

    /// Redacts an id in a URL. An id of several words, such as a project's name, is also removed elsewhere.
    fn id(&mut self, id: &str) {
        if id
            .bytes()
            .any(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'_')
        {
            self.add(id);
        }
    }

    /// Returns a body without secrets. Binary frames whose checksums covered a secret cannot be played any more.
    pub(super) fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let clean = self.0.iter().fold(bytes, |bytes, secret| {
            hidden(&bytes, secret, REDACTED, false).unwrap_or(bytes)
        });
        match String::from_utf8(clean) {
            Ok(text) => without_ids(&text).into_bytes(),
            Err(binary) => binary.into_bytes(),
        }
    }

    /// Adds the secrets in the JSON body of a request: the tokens and headers of MCP servers.
    pub(super) fn add_of_body(&mut self, body: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        for list in ["tools", "mcp_servers"] {
            let tools = body.get(list).and_then(Value::as_array);
            for tool in tools.into_iter().flatten() {
                for name in ["authorization", "authorization_token"] {
                    self.add(tool.get(name).and_then(Value::as_str).unwrap_or_default());
                }
                let headers = tool.get("headers").and_then(Value::as_object);
                for (name, value) in headers.into_iter().flatten() {
                    let value = value.as_str().filter(|_| holds(name) == Holds::Secret);
                    self.add(
                        value
                            .and_then(|value| value.split_whitespace().next_back())
                            .unwrap_or_default(),
                    );
                }
            }
        }
    }

    fn text(&self, text: &str) -> String {
        let clean = self.bytes(text.as_bytes().to_vec());
        String::from_utf8(clean).unwrap_or_default()
    }

    /// Very short values could be ordinary words.
    fn add(&mut self, secret: &str) {
        const MIN_SECRET_LENGTH: usize = 6;
        if secret.len() >= MIN_SECRET_LENGTH {
            self.0.push(secret.to_owned());
        }
    }
}

/// `/v1/<account>/<gateway>/..` of Cloudflare's gateway: 32 hexadecimal digits, which no other segment has.
fn is_account_of_cloudflare(segment: &str) -> bool {
    const DIGITS: usize = 32;
    segment.len() == DIGITS && segment.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Removes the account from ARNs (`arn:aws:bedrock:us-east-1:123456789012:..`, also inside a URL) and the ids of
/// OpenAI's organisations and projects.
fn without_ids(text: &str) -> String {
    let mut clean = text.to_owned();
    for colon in [":", "%3A", "%3a"] {
        clean = without_accounts(&clean, colon);
    }
    PREFIXES
        .iter()
        .fold(clean, |text, prefix| without_prefixed(&text, prefix))
}

fn without_accounts(text: &str, colon: &str) -> String {
    const DIGITS: usize = 12;
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&["arn", colon, "aws"].concat()) {
        let (before, name) = rest.split_at_checked(at).unwrap_or((rest, ""));
        clean.push_str(before);
        // arn:partition:service:region:account
        let account: usize = name
            .split(colon)
            .take(4)
            .map(|part| part.len().saturating_add(colon.len()))
            .sum();
        let digits = name.get(account..account.saturating_add(DIGITS));
        let is_account = digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        if let (true, Some(head)) = (is_account, name.get(..account)) {
            clean.extend([head, REDACTED]);
            rest = name
                .get(account.saturating_add(DIGITS)..)
                .unwrap_or_default();
        } else {
            let (head, tail) = name.split_at_checked(3).unwrap_or((name, ""));
            clean.push_str(head);
            rest = tail;
        }
    }
    clean + rest
}

/// Removes ids that have this prefix followed by at least 16 letters and digits, including a digit.
fn without_prefixed(text: &str, prefix: &str) -> String {
    const MIN_ID_LENGTH: usize = 16;
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(prefix) {
        let length = behind
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(behind.len());
        let (id, tail) = behind.split_at_checked(length).unwrap_or((behind, ""));
        let is_id = length >= MIN_ID_LENGTH && id.bytes().any(|byte| byte.is_ascii_digit());
        clean.extend([before, prefix, if is_id { REDACTED } else { id }]);
        rest = tail;
    }
    clean + rest
}

/// The parts of a URL by which a recording is matched: path and parameters.
pub(super) fn address(uri: &Uri) -> String {
    let mut secrets = Secrets::default();
    let path = secrets.path(uri.path());
    match uri.query() {
        Some(query) => path + "?" + &secrets.query(query),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_only_their_secrets() {
        for (from, kept) in [
            ("https://h/v1/m?alt=sse", "https://h/v1/m?alt=sse"),
            (
                "https://h/v1/m?Key=abcdef1&alt=sse",
                "https://h/v1/m?Key=[REDACTED]&alt=sse",
            ),
            ("http://user:password@h:80/v1", "http://h:80/v1"),
            ("/v1?x-amz-signature=0", "/v1?x-amz-signature=[REDACTED]"),
            (
                "https://h/v1?subscription-key=abcdef1&api-version=2",
                "https://h/v1?subscription-key=[REDACTED]&api-version=2",
            ),
            (
                "/v1?project_id=p&max_tokens=5",
                "/v1?project_id=[REDACTED]&max_tokens=5",
            ),
            (
                "/v1?page_token=abc&pageToken=d",
                "/v1?page_token=abc&pageToken=d",
            ),
            (
                "/client/v4/accounts/0a1b/ai/v1",
                "/client/v4/accounts/[REDACTED]/ai/v1",
            ),
            (
                "/v1/projects/my-project/locations/x",
                "/v1/projects/[REDACTED]/locations/x",
            ),
            (
                "https://gateway.ai.cloudflare.com/v1/0123456789abcdef0123456789abcdef/my-gateway/openai/chat/completions",
                "https://gateway.ai.cloudflare.com/v1/[REDACTED]/my-gateway/openai/chat/completions",
            ),
            (
                "https://acme-prod.openai.azure.com/openai/deployments/gpt/chat/completions",
                "https://redacted.openai.azure.com/openai/deployments/gpt/chat/completions",
            ),
            (
                "https://Acme.services.AI.azure.com:443/models",
                "https://redacted.services.AI.azure.com:443/models",
            ),
            (
                "https://management.azure.com/subscriptions/0a1b-2c/resourcegroups/prod/providers/Microsoft.CognitiveServices/accounts/acme",
                "https://management.azure.com/subscriptions/[REDACTED]/resourcegroups/[REDACTED]/providers/Microsoft.CognitiveServices/accounts/[REDACTED]",
            ),
            (
                "https://acme-xy12345.snowflakecomputing.com/api/v2/cortex/v1/chat/completions",
                "https://redacted.snowflakecomputing.com/api/v2/cortex/v1/chat/completions",
            ),
            (
                "https://xy12345.eu-central-1.aws.snowflakecomputing.com/api/v2",
                "https://redacted.eu-central-1.aws.snowflakecomputing.com/api/v2",
            ),
            (
                "https://dbc-0a1b-2c3d.cloud.databricks.com/serving-endpoints/m/invocations",
                "https://redacted.cloud.databricks.com/serving-endpoints/m/invocations",
            ),
            (
                "https://vpce-0a1b2c-3d4e.bedrock-runtime.us-east-1.vpce.amazonaws.com/model/m/converse",
                "https://redacted.bedrock-runtime.us-east-1.vpce.amazonaws.com/model/m/converse",
            ),
            (
                "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse",
                "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse",
            ),
            (
                "https://us-central1-aiplatform.googleapis.com/v1/projects/acme-prod/locations/us-central1/publishers/google/models/m:generateContent",
                "https://us-central1-aiplatform.googleapis.com/v1/projects/[REDACTED]/locations/us-central1/publishers/google/models/m:generateContent",
            ),
            (
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fx/converse",
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A[REDACTED]%3Ainference-profile%2Fx/converse",
            ),
            (
                "/model/arn:aws:bedrock:::x/converse",
                "/model/arn:aws:bedrock:::x/converse",
            ),
        ] {
            let mut secrets = Secrets::default();
            assert_eq!(secrets.url(&from.parse().unwrap()), kept);
        }
    }

    #[test]
    fn a_secret_is_found_wherever_it_is_repeated() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer abc/def".parse().unwrap());
        let mut secrets = Secrets::default();
        let kept = secrets.headers(&headers);
        assert_eq!(kept["authorization"], REDACTED);
        let echo = br#"{"key": "abc/def", "again": "abc\/def", "word": "abc"}"#;
        assert_eq!(
            String::from_utf8(secrets.bytes(echo.to_vec())).unwrap(),
            r#"{"key": "[REDACTED]", "again": "[REDACTED]", "word": "abc"}"#
        );
    }

    #[test]
    fn ids_from_a_url_are_found_in_the_response() {
        let mut secrets = Secrets::default();
        secrets.url(
            &"https://acme-xy1.snowflakecomputing.com/v1/projects/acme-prod/m"
                .parse()
                .unwrap(),
        );
        let answer = b"no access to projects/acme-prod of ACME-XY1 at acme-xy1".to_vec();
        assert_eq!(
            String::from_utf8(secrets.bytes(answer)).unwrap(),
            "no access to projects/[REDACTED] of ACME-XY1 at [REDACTED]"
        );
        let mut headers = HeaderMap::new();
        headers.insert("host", "acme.openai.azure.com".parse().unwrap());
        assert_eq!(
            Secrets::default().headers(&headers)["host"],
            "redacted.openai.azure.com"
        );
    }

    #[test]
    fn headers_lose_keys_and_caller_identity() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("openai-project", "proj_abc123"),
            ("openai-organization", "acme"),
            ("anthropic-organization-id", "6a1f-22b"),
            ("anthropic-workspace-id", "wrkspc_01"),
            ("x-goog-user-project", "p-1"),
            ("x-databricks-org-id", "7"),
            ("ocp-apim-subscription-key", "secret-1"),
            ("cf-aig-authorization", "Bearer secret-2"),
            ("x-ratelimit-limit-tokens", "5000"),
            ("idempotency-key", "i-1"),
            ("x-request-id", "req_1"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let mut secrets = Secrets::default();
        let kept = secrets.headers(&headers);
        let shown: Vec<&str> = kept
            .iter()
            .filter(|(_, value)| *value != REDACTED)
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            shown,
            [
                "idempotency-key",
                "x-ratelimit-limit-tokens",
                "x-request-id"
            ]
        );
        let body =
            br#"{"project": "proj_abc123", "org": "6a1f-22b", "key": "secret-2", "of": "acme"}"#;
        assert_eq!(
            String::from_utf8(secrets.bytes(body.to_vec())).unwrap(),
            r#"{"project": "[REDACTED]", "org": "[REDACTED]", "key": "[REDACTED]", "of": "acme"}"#
        );
    }

    #[test]
    fn account_ids_are_found_in_any_text() {
        for (from, kept) in [
            (
                "User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized on arn:aws-us-gov:bedrock:us-gov-west-1:210987654321:m/x",
                "User: arn:aws:sts::[REDACTED]:assumed-role/r/s is not authorized on arn:aws-us-gov:bedrock:us-gov-west-1:[REDACTED]:m/x",
            ),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/x, 123456789012, arn:aws",
                "arn:aws:bedrock:us-east-1::foundation-model/x, 123456789012, arn:aws",
            ),
            (
                "Rate limit reached in organization org-AbCdEfGh12345678 on org-wide tokens",
                "Rate limit reached in organization org-[REDACTED] on org-wide tokens",
            ),
        ] {
            let kept_bytes = Secrets::default().bytes(from.as_bytes().to_vec());
            assert_eq!(String::from_utf8(kept_bytes).unwrap(), kept);
        }
    }
}
