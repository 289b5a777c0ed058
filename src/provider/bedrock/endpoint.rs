//! Bedrock's URLs: the host of a region, by AWS partition. Source: the endpoint rules of the AWS SDKs.

use crate::{Error, ErrorKind, provider::BaseUrl};

/// One of Bedrock's two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiPlane {
    /// Chats.
    Runtime,
    /// Lists of models.
    Control,
}

impl ApiPlane {
    fn host_prefix(self) -> &'static str {
        match self {
            ApiPlane::Runtime => "bedrock-runtime",
            ApiPlane::Control => "bedrock",
        }
    }
}

/// Variants of a region's host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) fips: bool,
    pub(crate) dual_stack: bool,
}

/// A part of AWS with its own domains.
struct Partition {
    region_prefix: &'static str,
    suffix: &'static str,
    /// The suffix of hosts with IPv6 addresses.
    dual_stack_suffix: &'static str,
}

/// Other regions, including unknown ones, belong to the last partition.
const PARTITIONS: [Partition; 7] = [
    partition("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    partition("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    partition("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    partition("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    partition("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    partition("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    partition("", "amazonaws.com", "api.aws"),
];

const fn partition(
    region_prefix: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
) -> Partition {
    Partition {
        region_prefix,
        suffix,
        dual_stack_suffix,
    }
}

/// Checks the name of a region, which becomes part of a host name.
pub(super) fn check_region(region: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=63).contains(&region.len())
        && region.bytes().all(allowed)
        && !region.starts_with('-')
        && !region.ends_with('-');
    if is_name {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`{}` is not an AWS region: lower-case letters, digits and hyphens, such as `us-east-1`",
            region.escape_debug()
        ),
    ))
}

/// The URL of a service in a region.
pub(super) fn url(plane: ApiPlane, region: &str, variant: Variant) -> Result<BaseUrl, Error> {
    service_url(plane.host_prefix(), region, variant)
}

/// The URL of an AWS service in a region.
pub(crate) fn service_url(service: &str, region: &str, variant: Variant) -> Result<BaseUrl, Error> {
    check_region(region)?;
    let partition = PARTITIONS
        .iter()
        .find(|partition| region.starts_with(partition.region_prefix));
    let suffix = partition.map_or("", |partition| match variant.dual_stack {
        true => partition.dual_stack_suffix,
        false => partition.suffix,
    });
    let fips = if variant.fips { "-fips" } else { "" };
    BaseUrl::parse(&format!("https://{service}{fips}.{region}.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(plane: ApiPlane, region: &str, fips: bool, dual_stack: bool) -> String {
        let variant = Variant { fips, dual_stack };
        url(plane, region, variant).unwrap().host().to_owned()
    }

    #[test]
    fn every_partition_has_its_host() {
        use ApiPlane::{Control, Runtime};
        let cases = [
            (
                Runtime,
                "us-east-1",
                false,
                false,
                "bedrock-runtime.us-east-1.amazonaws.com",
            ),
            (
                Runtime,
                "us-gov-west-1",
                true,
                false,
                "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
            ),
            (
                Runtime,
                "eu-west-3",
                false,
                true,
                "bedrock-runtime.eu-west-3.api.aws",
            ),
            (
                Runtime,
                "us-east-2",
                true,
                true,
                "bedrock-runtime-fips.us-east-2.api.aws",
            ),
            (
                Control,
                "us-east-1",
                false,
                false,
                "bedrock.us-east-1.amazonaws.com",
            ),
            (
                Control,
                "us-east-1",
                true,
                true,
                "bedrock-fips.us-east-1.api.aws",
            ),
            (
                Runtime,
                "cn-north-1",
                false,
                false,
                "bedrock-runtime.cn-north-1.amazonaws.com.cn",
            ),
            (
                Runtime,
                "cn-north-1",
                false,
                true,
                "bedrock-runtime.cn-north-1.api.amazonwebservices.com.cn",
            ),
            (
                Runtime,
                "us-iso-east-1",
                false,
                false,
                "bedrock-runtime.us-iso-east-1.c2s.ic.gov",
            ),
            (
                Runtime,
                "us-isob-east-1",
                false,
                false,
                "bedrock-runtime.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                Runtime,
                "us-isof-south-1",
                false,
                false,
                "bedrock-runtime.us-isof-south-1.csp.hci.ic.gov",
            ),
            (
                Runtime,
                "eusc-de-east-1",
                false,
                false,
                "bedrock-runtime.eusc-de-east-1.amazonaws.eu",
            ),
            (
                Runtime,
                "us-iso-east-1",
                false,
                true,
                "bedrock-runtime.us-iso-east-1.api.aws.ic.gov",
            ),
            (
                Runtime,
                "eusc-de-east-1",
                true,
                true,
                "bedrock-runtime-fips.eusc-de-east-1.api.amazonwebservices.eu",
            ),
            (
                Runtime,
                "xy-new-9",
                false,
                false,
                "bedrock-runtime.xy-new-9.amazonaws.com",
            ),
        ];
        for (plane, region, fips, dual_stack, expected) in cases {
            assert_eq!(host(plane, region, fips, dual_stack), expected);
        }
    }

    #[test]
    fn a_region_cannot_reach_into_the_rest_of_the_url() {
        for region in [
            "",
            "us-east-1/x",
            "us-east-1.evil.example",
            "us-east-1#",
            "a@b",
            "a b",
            "a\nb",
            "-a",
            "a-",
            "US-EAST-1",
            &"a".repeat(64),
        ] {
            let error = url(ApiPlane::Runtime, region, Variant::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{region}");
            assert!(
                error.to_string().contains("is not an AWS region"),
                "{error}"
            );
        }
    }
}
