//! Addresses with names in braces, which differ between accounts.

use super::{
    builder::{Address, ProviderDefaults},
    core::invalid_setting,
};
use crate::Error;

/// The address that was given, else the provider's own, with its names in braces replaced by `params`.
pub(crate) fn address(
    defaults: &ProviderDefaults,
    params: &[(String, String)],
    given: Option<&str>,
) -> Result<Address, Error> {
    let name = defaults.name;
    Ok(match given {
        Some(url) => Address::Other(expand(name, url, params)?),
        None if defaults.base_url.is_empty() => return defaults.own_address(),
        None => Address::Own(expand(name, defaults.base_url, params)?),
    })
}

fn expand(provider: &str, template: &str, params: &[(String, String)]) -> Result<String, Error> {
    let mut url = template.to_owned();
    for (name, value) in params {
        // Nothing that could lead the key to another host (F112).
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let dots = value.bytes().all(|b| b == b'.');
        if dots || !value.bytes().all(plain) {
            return Err(invalid_setting(format!(
                "the {name} of `{provider}` must consist of letters, digits, `.`, `_` and `-`"
            )));
        }
        url = url.replace(&format!("{{{name}}}"), value);
    }
    match url
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
    {
        Some((open, _)) => Err(invalid_setting(format!(
            "the address of `{provider}` leaves its {open} open: set it with `url_param(\"{open}\", ..)`, or set a `base_url`"
        ))),
        None => Ok(url),
    }
}
