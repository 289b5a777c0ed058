//! Shared code of providers, in the order of its use. The items that providers outside this crate need are public in
//! [`provider`](crate::provider).
//!
//! 1. [`builder`], [`base_url`], [`profile_table`], [`vertex`]: the options of a provider, and its URL.
//! 2. [`core`]: the options that every provider has, and its HTTP requests.
//! 3. [`request`], [`media`], [`hosted`], [`json_object`], [`nested_params`]: encoding a request. Unsupported content is refused, or dropped with a warning.
//! 4. [`call_ids`], [`result_places`], [`id_format`]: tool calls and results in the form and order that a server accepts.
//! 5. [`lenient`], [`unknown_fields`], [`logprobs`]: decoding a response, with warnings for unknown content.
//! 6. [`errors`], [`headers`]: error kinds, request ids and rate limits.
//! 7. [`embed`], [`model`], [`object_uri`], [`api_request`], [`token_count`]: embeddings, lists of models, the files of batches in
//!    object storage, and other small JSON calls.

pub(crate) mod api_request;
pub(crate) mod base_url;
pub(crate) mod builder;
pub(crate) mod call_ids;
pub(crate) mod core;
pub(crate) mod embed;
pub mod errors;
pub mod headers;
pub(crate) mod hosted;
pub(crate) mod id_format;
pub(crate) mod json_object;
pub(crate) mod lenient;
pub(crate) mod logprobs;
pub(crate) mod media;
pub(crate) mod model;
pub(crate) mod nested_params;
pub(crate) mod object_uri;
pub(crate) mod request;
pub(crate) mod result_places;
pub(crate) mod token_count;
pub(crate) mod unknown_fields;
pub(crate) mod vertex;
