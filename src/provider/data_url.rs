//! `data:` URLs, which only some wires take.

/// MIME type and base64 of a `data:` URL.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let mime_type = head.strip_suffix(";base64")?;
    Some((mime_type.split(';').next().unwrap_or(mime_type), data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base64_is_taken_apart() {
        let cases = [
            ("data:image/png;base64,AAAA", Some(("image/png", "AAAA"))),
            (
                "data:text/plain;charset=utf-8;base64,AA==",
                Some(("text/plain", "AA==")),
            ),
            ("data:text/plain,hi", None),
            ("https://x/data:a;base64,b", None),
            ("data:", None),
        ];
        for (url, parts) in cases {
            assert_eq!(data_url(url), parts, "{url}");
        }
    }
}
