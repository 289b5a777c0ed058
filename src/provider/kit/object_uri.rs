//! URIs of objects in a cloud's object storage.

use crate::{Error, ErrorKind};
use std::fmt;

/// An object, or a folder if the key ends with a slash or is empty: `s3://bucket/key`, `gs://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectUri {
    scheme: &'static str,
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl ObjectUri {
    /// Parses a URI with this scheme. The name of a bucket becomes part of a host name or of a path, so only the characters of
    /// bucket names are allowed: lower-case letters, digits, hyphens, dots, and at Google Cloud underscores.
    pub(crate) fn parse(scheme: &'static str, text: &str) -> Result<Self, Error> {
        let rest = text
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.unwrap_or_default();
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |b: u8| {
            b.is_ascii_lowercase()
                || b.is_ascii_digit()
                || b"-.".contains(&b)
                || (b == b'_' && scheme == "gs")
        };
        let is_edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let name = bucket.as_bytes();
        let is_bucket = (3..=63).contains(&name.len())
            && name.iter().copied().all(is_plain)
            && is_edge(name.first())
            && is_edge(name.last())
            && !bucket.contains("..");
        if !is_bucket {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`{:.128}` is not a URI of the form `{scheme}://BUCKET/KEY`",
                    text.escape_debug()
                ),
            ));
        }
        Ok(ObjectUri {
            scheme,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The folder with this key: the key with a slash at its end.
    pub(crate) fn folder(mut self) -> Self {
        if !self.key.is_empty() && !self.key.ends_with('/') {
            self.key.push('/');
        }
        self
    }

    /// The object or folder with this name in this folder.
    pub(crate) fn join(&self, name: &str) -> Self {
        self.with_key([&self.key, name].concat())
    }

    /// Another object of the same bucket.
    pub(crate) fn with_key(&self, key: String) -> Self {
        ObjectUri {
            scheme: self.scheme,
            bucket: self.bucket.clone(),
            key,
        }
    }

    /// # Errors
    /// `invalid_request` if this is a folder.
    pub(crate) fn check_object(&self) -> Result<(), Error> {
        if !self.key.is_empty() && !self.key.ends_with('/') {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("`{self}` is a folder, not an object"),
        ))
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme, self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uris_of_buckets_are_accepted() {
        for (scheme, text, bucket, key) in [
            ("s3", "s3://bucket/a/b.jsonl", "bucket", "a/b.jsonl"),
            ("s3", "s3://bucket", "bucket", ""),
            ("s3", "s3://my.bucket-1/", "my.bucket-1", ""),
            ("gs", "gs://my_bucket/k", "my_bucket", "k"),
        ] {
            let uri = ObjectUri::parse(scheme, text).unwrap();
            assert_eq!((&*uri.bucket, &*uri.key), (bucket, key), "{text}");
        }
        for text in [
            "",
            "s3://",
            "s3:///key",
            "s3://ab/key",
            "s3://evil.example#/k",
            "s3://Bucket/k",
            "s3://-b-/k",
            "s3://a..b/k",
            "s3://my_bucket/k",
            "gs://bucket/k",
            "https://bucket/k",
            "s3://b@evil.example/k",
            "s3://b:80/k",
        ] {
            assert!(ObjectUri::parse("s3", text).is_err(), "{text}");
        }
    }

    #[test]
    fn folders_end_with_a_slash() {
        let root = ObjectUri::parse("s3", "s3://bucket").unwrap().folder();
        assert_eq!(root.join("in/").to_string(), "s3://bucket/in/");
        let folder = ObjectUri::parse("s3", "s3://bucket/runs").unwrap().folder();
        assert_eq!(folder.join("a").to_string(), "s3://bucket/runs/a");
        assert!(folder.check_object().is_err() && root.check_object().is_err());
        assert!(folder.join("a").check_object().is_ok());
    }
}
