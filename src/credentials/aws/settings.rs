//! Settings of a profile that environment variables can also have.

use super::{ini::Profiles, profile::setting};
use crate::credentials::Environment;

/// Settings of a profile, and their variables.
const SETTINGS: [(&str, &str); 8] = [
    (
        "ignore_configured_endpoint_urls",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    ),
    ("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT"),
    ("use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT"),
    (
        "ec2_metadata_service_endpoint",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ),
    (
        "ec2_metadata_service_endpoint_mode",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    ),
    ("metadata_service_timeout", "AWS_METADATA_SERVICE_TIMEOUT"),
    (
        "metadata_service_num_attempts",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    ),
    (ENDPOINT, ALL_SERVICES),
];

/// Services in a `[services x]` section, and the variables of their endpoints.
const SERVICES: [(&str, &str); 6] = [
    ("sts", "AWS_ENDPOINT_URL_STS"),
    ("sso", "AWS_ENDPOINT_URL_SSO"),
    ("sso_oidc", "AWS_ENDPOINT_URL_SSO_OIDC"),
    ("bedrock", "AWS_ENDPOINT_URL_BEDROCK"),
    ("s3", "AWS_ENDPOINT_URL_S3"),
    ("bedrock_runtime", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
];

const ENDPOINT: &str = "endpoint_url";
const ALL_SERVICES: &str = "AWS_ENDPOINT_URL";

/// The environment, with the settings of the profile in place of variables that are unset. The order for an endpoint
/// is: the service's variable, the variable for all services, the profile's service, the profile.
pub(super) fn with_profile(environment: &Environment, all: &Profiles, name: &str) -> Environment {
    let Some(profile) = all.profile(name) else {
        return environment.clone();
    };
    let mut with = environment.clone();
    if let (Some(section), None) = (setting(profile, "services"), environment.get(ALL_SERVICES)) {
        for (service, variable) in SERVICES {
            if let Some(url) = all.service(&section, service, ENDPOINT) {
                with = with.or(variable, url);
            }
        }
    }
    for (name, variable) in SETTINGS {
        if let Some(value) = setting(profile, name) {
            with = with.or(variable, &value);
        }
    }
    with
}

#[cfg(test)]
mod tests {
    use super::{super::ini::FileKind, *};

    const CONFIG: &str = "\
[profile p]
services = s
endpoint_url = https://all.example
ec2_metadata_service_endpoint_mode = IPv6
use_fips_endpoint = true
[services s]
sts =
  endpoint_url = https://sts.example
bedrock_runtime =
  endpoint_url = https://runtime.example
";

    fn read(variables: &[(&str, &str)], profile: &str) -> Environment {
        let environment = Environment::new(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let mut profiles = Profiles::default();
        profiles.add(CONFIG, FileKind::Config, "config").unwrap();
        with_profile(&environment, &profiles, profile)
    }

    #[test]
    fn a_profile_sets_what_no_variable_sets() {
        let all = read(&[], "p");
        for (name, value) in [
            ("AWS_ENDPOINT_URL_STS", "https://sts.example"),
            (
                "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
                "https://runtime.example",
            ),
            ("AWS_ENDPOINT_URL", "https://all.example"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6"),
            ("AWS_USE_FIPS_ENDPOINT", "true"),
        ] {
            assert_eq!(all.get(name), Some(value));
        }
        assert_eq!(all.get("AWS_ENDPOINT_URL_SSO"), None);
        assert_eq!(read(&[], "q").get("AWS_ENDPOINT_URL"), None);
    }

    #[test]
    fn a_variable_counts_before_the_profile() {
        let own = read(&[("AWS_ENDPOINT_URL_STS", "https://own.example")], "p");
        assert_eq!(own.get("AWS_ENDPOINT_URL_STS"), Some("https://own.example"));
        // The variable for all services counts before the profile's service.
        let all = read(&[("AWS_ENDPOINT_URL", "https://mine.example")], "p");
        assert_eq!(all.get("AWS_ENDPOINT_URL_STS"), None);
        assert_eq!(all.get("AWS_ENDPOINT_URL"), Some("https://mine.example"));
    }
}
