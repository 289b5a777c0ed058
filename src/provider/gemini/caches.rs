//! Cached contents, and token counts.

use super::{Gemini, Hosting, own_path};
use crate::{
    ChatRequest, Error, ErrorKind,
    cache::{CacheExpiry, CachedContent, CachedContentApi, CachedContentPage, NewCachedContent},
    codec::percent::encode_segment,
    error::ErrorBody,
    json::ObjectWriter,
    provider::{
        ApiRequest, Framing, Provider,
        kit::{
            core::JSON,
            errors,
            lenient::{self, Count, List, Object, Raw, Text, object},
            token_count::{members, missing, only, prompt},
        },
    },
    tokens::TokenCount,
};
use bytes::Bytes;
use http::{Method, header};
use std::time::Duration;

/// Google allows 1,000.
const PAGE: &str = "?pageSize=1000";

/// The calls for cached contents, at the developer API and on Vertex AI.
pub(super) struct Caches<'a>(pub(super) &'a Gemini);

impl Caches<'_> {
    /// The collection: `/cachedContents`, on Vertex AI inside of the project and location.
    fn folder(&self) -> String {
        match &self.0.hosting {
            Hosting::Own => "/cachedContents".to_owned(),
            Hosting::Vertex(vertex) => vertex.resources() + "/cachedContents",
        }
    }

    /// The path of one. Its name has the collection, or is only the id.
    fn path(&self, name: &str) -> Result<String, Error> {
        let folder = self.folder();
        let id = name
            .strip_prefix(folder.trim_start_matches('/'))
            .and_then(|rest| rest.strip_prefix('/'))
            .or_else(|| name.strip_prefix("cachedContents/"))
            .unwrap_or(name);
        let segment = encode_segment(id).filter(|_| !id.contains('/'));
        match segment {
            Some(segment) => Ok([&folder, "/", &segment].concat()),
            None => Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`{}` is not the name of a cached content of `{}`; names begin with `{}/`",
                    name.escape_debug(),
                    self.0.name(),
                    folder.trim_start_matches('/')
                ),
            )),
        }
    }

    fn model(&self, model: &str) -> Result<String, Error> {
        let path = match &self.0.hosting {
            Hosting::Own => own_path(model)?,
            Hosting::Vertex(vertex) => vertex.model_path("google", model)?,
        };
        Ok(path.trim_start_matches('/').to_owned())
    }
}

impl CachedContentApi for Caches<'_> {
    fn create(&self, new: &NewCachedContent) -> Result<ApiRequest<CachedContent>, Error> {
        let (body, warnings) = prompt(self.0, &new.prompt)?;
        let names = ["contents", "systemInstruction", "tools", "toolConfig"];
        let mut out = only(&body, &names)?;
        out.member("model", &self.model(&new.prompt.model)?)?;
        if let Some(name) = &new.display_name {
            out.member("displayName", name)?;
        }
        if let Some(expiry) = &new.expiry {
            write_expiry(&mut out, expiry)?;
        }
        let uri = self.0.core.url(&self.folder())?;
        let post = self.0.core.post(uri, out.finish(), Framing::SingleBody);
        Ok(ApiRequest::new(post, |_, body| decode_one(body)).with_warnings(warnings))
    }

    fn get(&self, name: &str) -> Result<ApiRequest<CachedContent>, Error> {
        let request = self.0.core.get(&self.path(name)?)?;
        Ok(ApiRequest::new(request, |_, body| decode_one(body)))
    }

    fn list(&self, page: Option<&str>) -> Result<ApiRequest<CachedContentPage>, Error> {
        let mut path = self.folder() + PAGE;
        if let Some(token) = page.and_then(encode_segment) {
            path.push_str("&pageToken=");
            path.push_str(&token);
        }
        let request = self.0.core.get(&path)?;
        Ok(ApiRequest::new(request, |_, body| decode_page(body)))
    }

    fn renew(&self, name: &str, expiry: &CacheExpiry) -> Result<ApiRequest<CachedContent>, Error> {
        let mask = match expiry {
            CacheExpiry::Ttl(_) => "?updateMask=ttl",
            CacheExpiry::At(_) => "?updateMask=expireTime",
        };
        let uri = self.0.core.url(&(self.path(name)? + mask))?;
        let mut out = ObjectWriter::with_capacity(64);
        write_expiry(&mut out, expiry)?;
        let core = &self.0.core;
        let mut request = core.request(Method::PATCH, uri, out.finish().into(), JSON);
        request.headers_mut().insert(header::CONTENT_TYPE, JSON);
        // The same time is set again.
        Ok(ApiRequest::new(request, |_, body| decode_one(body)).repeatable())
    }

    fn delete(&self, name: &str) -> Result<ApiRequest<()>, Error> {
        let uri = self.0.core.url(&self.path(name)?)?;
        let core = &self.0.core;
        let request = core.request(Method::DELETE, uri, Bytes::new(), JSON);
        Ok(ApiRequest::new(request, |_, body| {
            // An answer that was cut is none.
            let _: Raw<'_> = lenient::parse_body(body)?;
            match ErrorBody::parse(body) {
                Some(error) => Err(errors::from_body(200, &error)),
                None => Ok(()),
            }
        }))
    }
}

/// A duration as protocol buffers write it: `300s`, `0.5s`.
fn write_expiry(out: &mut ObjectWriter, expiry: &CacheExpiry) -> Result<(), Error> {
    match expiry {
        CacheExpiry::Ttl(life) => out.member("ttl", &seconds(*life)),
        CacheExpiry::At(time) => out.member("expireTime", time),
    }
}

fn seconds(life: Duration) -> String {
    match life.subsec_nanos() {
        0 => format!("{}s", life.as_secs()),
        nanos => format!("{}.{nanos:09}s", life.as_secs()),
    }
}

fn decode_page(body: &Bytes) -> Result<CachedContentPage, Error> {
    object! {
        struct Page<'a> {
            cached_contents as "cachedContents": Option<List<Raw<'a>>>,
            next_page_token as "nextPageToken": Text<'a>,
            error: Raw<'a>,
        }
    }
    let page: Page<'_> = lenient::parse_body(body)?;
    if page.error.text().is_some() {
        return Err(errors::from_event("", body));
    }
    // An empty list has no member.
    let list = page.cached_contents.unwrap_or_default();
    let each = size_of::<CachedContent>();
    crate::json::Budget::of(body.len())
        .charge(list.0.len().saturating_mul(each))
        .map_err(|_| lenient::too_large(body.len()))?;
    let next = page.next_page_token.non_empty().map(str::to_owned);
    let contents = list.0.into_iter().filter_map(read).collect();
    Ok(CachedContentPage::new(contents, next))
}

fn decode_one(body: &Bytes) -> Result<CachedContent, Error> {
    let raw: Raw<'_> = lenient::parse_body(body)?;
    read(raw).ok_or_else(|| match ErrorBody::parse(body) {
        Some(error) => errors::from_body(200, &error),
        None => Error::new(
            ErrorKind::Protocol,
            "the response is not a cached content: it has no text at `name`",
        ),
    })
}

fn read(raw: Raw<'_>) -> Option<CachedContent> {
    object! {
        struct Fields<'a> {
            name: Text<'a>,
            model: Text<'a>,
            display_name as "displayName": Text<'a>,
            create_time as "createTime": Text<'a>,
            update_time as "updateTime": Text<'a>,
            expire_time as "expireTime": Text<'a>,
            usage as "usageMetadata": Object<CacheUsage>,
        }
    }
    object! {
        struct CacheUsage {
            tokens as "totalTokenCount": Count,
        }
    }
    let fields: Fields<'_> = raw.read()?;
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    let mut content =
        CachedContent::new(fields.name.non_empty()?, fields.model.to_string_or_empty());
    content.display_name = owned(&fields.display_name);
    content.create_time = owned(&fields.create_time);
    content.update_time = owned(&fields.update_time);
    content.expire_time = owned(&fields.expire_time);
    content.tokens = fields.usage.0.and_then(|usage| usage.tokens.0);
    content.raw = raw.json();
    Some(content)
}

/// Counts with the complete request. `contents` alone would leave out system instruction and tools. Vertex AI has
/// another form, flat and without the other fields.
pub(super) fn count_tokens(
    gemini: &Gemini,
    request: &ChatRequest,
) -> Result<ApiRequest<TokenCount>, Error> {
    let (body, warnings) = prompt(gemini, request)?;
    let (path, body) = match &gemini.hosting {
        Hosting::Own => {
            let model = own_path(&request.model)?;
            let mut inner = members(&body)?;
            inner.set("model", crate::Json::new(model.trim_start_matches('/'))?);
            let mut out = ObjectWriter::with_capacity(body.len().saturating_add(128));
            out.member("generateContentRequest", &inner)?;
            (model, out)
        }
        Hosting::Vertex(vertex) => {
            let names = [
                "contents",
                "systemInstruction",
                "tools",
                "generationConfig",
                "cachedContent",
            ];
            let model = vertex.model_path("google", &request.model)?;
            (model, only(&body, &names)?)
        }
    };
    let uri = gemini.core.url(&(path + ":countTokens"))?;
    let post = gemini.core.post(uri, body.finish(), Framing::SingleBody);
    let api = ApiRequest::new(post, |_, body| decode_count(body));
    Ok(api.repeatable().with_warnings(warnings))
}

fn decode_count(body: &Bytes) -> Result<TokenCount, Error> {
    object! {
        struct Counted<'a> {
            total as "totalTokens": Count,
            cached as "cachedContentTokenCount": Count,
            details as "promptTokensDetails": List<Raw<'a>>,
        }
    }
    object! {
        struct Modality<'a> {
            modality: Text<'a>,
            tokens as "tokenCount": Count,
        }
    }
    let counted: Counted<'_> = lenient::parse_body(body)?;
    let total = counted
        .total
        .0
        .ok_or_else(|| missing(body, "totalTokens"))?;
    let mut count = TokenCount::exact(total);
    count.cached_tokens = counted.cached.0;
    for raw in counted.details.0 {
        let Some(detail) = raw.read::<Modality<'_>>() else {
            continue;
        };
        if let (Some(modality), Some(tokens)) = (detail.modality.non_empty(), detail.tokens.0) {
            count.by_modality.insert(modality.to_owned(), tokens);
        }
    }
    Ok(count)
}
