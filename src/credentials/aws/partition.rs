//! The URLs of services that issue keys.

use crate::{
    Error,
    credentials::{Environment, errors::config},
    provider::bedrock::endpoint::{Variant, service_url},
};

/// A URL, and the region for which requests to it are signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) region: String,
}

/// STS in a region, which is required.
pub(super) fn sts(environment: &Environment, region: &str) -> Result<Endpoint, Error> {
    let endpoint = |url: String, region: &str| Endpoint {
        url,
        region: region.to_owned(),
    };
    if let Some(url) = configured(environment, "AWS_ENDPOINT_URL_STS") {
        return Ok(endpoint(url, region));
    }
    if region == "aws-global" {
        return Ok(endpoint(
            "https://sts.amazonaws.com/".to_owned(),
            "us-east-1",
        ));
    }
    Ok(endpoint(service(environment, "sts", region)?, region))
}

pub(super) fn sso_portal(environment: &Environment, region: &str) -> Result<String, Error> {
    match configured(environment, "AWS_ENDPOINT_URL_SSO") {
        Some(url) => Ok(url),
        None => service(environment, "portal.sso", region),
    }
}

pub(super) fn sso_oidc(environment: &Environment, region: &str) -> Result<String, Error> {
    match configured(environment, "AWS_ENDPOINT_URL_SSO_OIDC") {
        Some(url) => Ok(url),
        None => service(environment, "oidc", region),
    }
}

fn configured(environment: &Environment, name: &str) -> Option<String> {
    if environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return None;
    }
    let url = environment
        .get(name)
        .or_else(|| environment.get("AWS_ENDPOINT_URL"))?;
    Some([url.trim_end_matches('/'), "/"].concat())
}

fn service(environment: &Environment, name: &str, region: &str) -> Result<String, Error> {
    let variant = Variant {
        // In these regions the usual host is the FIPS-conforming one.
        fips: environment.is_true("AWS_USE_FIPS_ENDPOINT") && !region.starts_with("us-gov-"),
        dual_stack: environment.is_true("AWS_USE_DUALSTACK_ENDPOINT"),
    };
    let url = service_url(name, region, variant).map_err(|error| config(error.message()))?;
    Ok([url.as_str().trim_end_matches('/'), "/"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &'static [(&str, &str)]) -> Environment {
        Environment::new(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn services_are_where_the_region_or_a_variable_says() {
        let none = environment(&[]);
        for (region, url) in [
            ("eu-west-1", "https://sts.eu-west-1.amazonaws.com/"),
            ("cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/"),
            ("eusc-de-east-1", "https://sts.eusc-de-east-1.amazonaws.eu/"),
            ("aws-global", "https://sts.amazonaws.com/"),
        ] {
            assert_eq!(sts(&none, region).unwrap().url, url);
        }
        assert_eq!(
            sso_portal(&none, "eu-central-1").unwrap(),
            "https://portal.sso.eu-central-1.amazonaws.com/"
        );
        assert_eq!(
            sso_oidc(&none, "eu-central-1").unwrap(),
            "https://oidc.eu-central-1.amazonaws.com/"
        );
        let fips = environment(&[("AWS_USE_FIPS_ENDPOINT", "true")]);
        assert_eq!(
            sts(&fips, "us-east-1").unwrap().url,
            "https://sts-fips.us-east-1.amazonaws.com/"
        );
        assert_eq!(
            sts(&fips, "us-gov-west-1").unwrap().url,
            "https://sts.us-gov-west-1.amazonaws.com/"
        );
        assert_eq!(
            sso_portal(&fips, "us-east-1").unwrap(),
            "https://portal.sso-fips.us-east-1.amazonaws.com/"
        );
        assert_eq!(
            sso_oidc(&fips, "us-gov-west-1").unwrap(),
            "https://oidc.us-gov-west-1.amazonaws.com/"
        );
        let dual = environment(&[("AWS_USE_DUALSTACK_ENDPOINT", "true")]);
        assert_eq!(
            sso_oidc(&dual, "eu-central-1").unwrap(),
            "https://oidc.eu-central-1.api.aws/"
        );
        let fakes = environment(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:2"),
        ]);
        assert_eq!(sts(&fakes, "x").unwrap().url, "http://127.0.0.1:2/");
        assert_eq!(sso_portal(&fakes, "x").unwrap(), "http://127.0.0.1:1/");
        assert!(sts(&none, "evil.example/").is_err());
    }
}
