//! Common parts of the requests and responses of sources.

use super::{
    Token,
    errors::{config, excerpt, refused, unreachable},
    form::Form,
};
use crate::{Error, Secret};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

pub(crate) fn get(url: &str) -> Result<Request<Bytes>, Error> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url
        .parse()
        .map_err(|_| config(format!("{} is not a URL", shown(url))))?;
    request.headers_mut().insert(ACCEPT, JSON);
    Ok(request)
}

/// A URL for an error, without a user name, password or query, which may be secrets.
fn shown(url: &str) -> String {
    match url.split(['?', '#']).next() {
        Some(place) if !url.contains('@') => format!("`{}`", excerpt(place)),
        _ => "an address with an `@`, which is not shown,".to_owned(),
    }
}

pub(crate) fn post_form(url: &str, form: Form) -> Result<Request<Bytes>, Error> {
    post(url, FORM, form.into_bytes())
}

pub(crate) fn post_json(url: &str, body: Bytes) -> Result<Request<Bytes>, Error> {
    post(url, JSON, body)
}

fn post(url: &str, content_type: HeaderValue, body: Bytes) -> Result<Request<Bytes>, Error> {
    let mut request = get(url)?;
    *request.method_mut() = http::Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, content_type);
    *request.body_mut() = body;
    Ok(request)
}

/// Adds a header whose value is secret.
pub(crate) fn secret_header(
    request: &mut Request<Bytes>,
    name: HeaderName,
    value: &str,
) -> Result<(), Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        config(format!(
            "what is to be sent as `{name}` cannot be in a header"
        ))
    })?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}

pub(crate) fn bearer_header(request: &mut Request<Bytes>, token: &Secret) -> Result<(), Error> {
    let value = Zeroizing::new(["Bearer ", token.expose()].concat());
    secret_header(request, AUTHORIZATION, &value)
}

/// The value of `authorization` for a name and a password.
pub(crate) fn basic(name: &str, password: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new([name, ":", password].concat());
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    Zeroizing::new(["Basic ", &encoded].concat())
}

pub(crate) fn text_header(request: &mut Request<Bytes>, name: &'static str, value: &'static str) {
    let headers = request.headers_mut();
    headers.insert(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
}

/// A JSON object whose texts are wiped when it is dropped.
pub(crate) struct SecretJson(Value);

impl SecretJson {
    /// Parses a body; `None` if it is not a JSON object.
    pub(crate) fn parse(body: &[u8]) -> Option<SecretJson> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let json = SecretJson(value);
        json.0.is_object().then_some(json)
    }

    pub(crate) fn of(value: Value) -> SecretJson {
        SecretJson(value)
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Like [`text`](Self::text), but the case of the name does not matter.
    #[cfg(feature = "bedrock")]
    pub(crate) fn text_ignoring_case(&self, name: &str) -> Option<&str> {
        let members = self.0.as_object()?;
        let (_, value) = members
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        value.as_str().filter(|text| !text.is_empty())
    }

    /// A whole number, also as a text.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::String(text) => text.trim().parse().ok(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a cast saturates, and more than a number of seconds is none"
            )]
            Value::Number(number) => number.as_u64().or_else(|| {
                let number = number.as_f64()?;
                (number >= 0.0).then_some(number as u64)
            }),
            _ => None,
        }
    }
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The JSON object of a success; any other body is an error.
pub(crate) fn json_of(host: &str, response: &Response<Bytes>) -> Result<SecretJson, Error> {
    SecretJson::parse(response.body())
        .ok_or_else(|| unreachable(format!("{host} answered, but not with a JSON object")))
}

/// An error of a token endpoint of OAuth 2 (RFC 6749, 5.2).
pub(crate) struct OAuthError {
    pub(crate) status: u16,
    pub(crate) error: String,
    pub(crate) description: String,
    pub(crate) subtype: String,
}

impl OAuthError {
    pub(crate) fn of(response: &Response<Bytes>) -> OAuthError {
        let json = SecretJson::parse(response.body());
        let text = |name: &str| {
            let text = json.as_ref().and_then(|json| json.text(name));
            excerpt(text.unwrap_or_default())
        };
        OAuthError {
            status: response.status().as_u16(),
            error: text("error"),
            description: text("error_description"),
            subtype: text("error_subtype"),
        }
    }

    /// The text for a message.
    pub(crate) fn message(&self, host: &str) -> String {
        let said = [&*self.error, &*self.subtype, &*self.description];
        let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
        match said.is_empty() {
            true => format!("{host} answered with status {}", self.status),
            false => format!(
                "{host} answered with status {}: {}",
                self.status,
                said.join(": ")
            ),
        }
    }

    /// `unreachable` for a temporary failure, else `refused`.
    pub(crate) fn into_error(self, host: &str) -> Error {
        match self.is_transient() {
            true => unreachable(self.message(host)),
            false => refused(self.message(host)),
        }
    }

    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500..)
            || TRANSIENT.contains(&&*self.error)
            || TRANSIENT.contains(&&*self.description)
    }
}

const TRANSIENT: [&str; 3] = [
    "internal_failure",
    "server_error",
    "temporarily_unavailable",
];

/// For [`Sending::is_transient`](super::fetcher::Sending).
pub(crate) fn is_transient_oauth(response: &Response<Bytes>) -> bool {
    !response.status().is_success() && OAuthError::of(response).is_transient()
}

/// The token in a success of a token endpoint.
pub(crate) fn oauth_token(host: &str, response: &Response<Bytes>) -> Result<Token, Error> {
    token_of(host, &json_of(host, response)?)
}

/// The token in the JSON object of such a success.
pub(crate) fn token_of(host: &str, json: &SecretJson) -> Result<Token, Error> {
    let token = json
        .text("access_token")
        .ok_or_else(|| unreachable(format!("{host} answered without an `access_token`")))?;
    let is_bearer = json
        .text("token_type")
        .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !is_bearer {
        return Err(refused(format!(
            "{host} gave a token that is no bearer token"
        )));
    }
    let token = Token::bearer(secret(host, token)?);
    Ok(match json.number("expires_in") {
        Some(seconds) => token.expires_in(Duration::from_secs(seconds)),
        None => token,
    })
}

/// A secret from a response.
pub(crate) fn secret(host: &str, text: &str) -> Result<Secret, Error> {
    Secret::new(text).map_err(|error| {
        refused(format!(
            "{host} gave a token that cannot be sent: {}",
            error.message()
        ))
    })
}

/// The host of a URL, for messages.
pub(crate) fn host_of(request: &Request<Bytes>) -> String {
    request
        .uri()
        .host()
        .unwrap_or("an address without a host")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_as_numbers_and_as_texts() {
        let json =
            SecretJson::parse(br#"{"a": 3599, "b": "3599", "c": 3599.9, "d": -1, "e": "x"}"#);
        let json = json.unwrap();
        for name in ["a", "b", "c"] {
            assert_eq!(json.number(name), Some(3599));
        }
        assert_eq!((json.number("d"), json.number("e")), (None, None));
        assert!(SecretJson::parse(b"[]").is_none());
    }

    #[test]
    fn an_error_about_a_url_shows_neither_password_nor_query() {
        for url in [
            "https://user:canary@ho st/",
            "https://ho st/path?key=canary",
            "https://ho st/path?key=canary@x",
            "https://u:can?ary@ho st/#canary",
        ] {
            let error = get(url).unwrap_err();
            assert!(!error.message().contains("can"), "{error}");
        }
        let error = get("https://ho st/path").unwrap_err();
        assert!(error.message().contains("ho st/path"), "{error}");
    }

    #[test]
    fn an_error_shows_named_members_alone() {
        let body =
            r#"{"error":"invalid_grant","error_description":"no\r\nway","assertion":"canary"}"#;
        let response = Response::builder()
            .status(400)
            .body(Bytes::from(body))
            .unwrap();
        let message = OAuthError::of(&response).message("host.example");
        assert!(message.contains("invalid_grant: no"), "{message}");
        assert!(!message.contains("canary"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}
