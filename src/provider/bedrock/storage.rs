//! Where the batches of an account keep their files.

use super::{
    endpoint::Variant,
    s3::{S3, invalid, parse_uri},
};
use crate::{
    Error,
    provider::{ProviderCore, kit::object_uri::ObjectUri},
};

/// The folder in S3 and the role that batches need.
///
/// A run writes its requests to `in/` of the folder, and Bedrock writes the results to `out/`. The credentials of the provider
/// need `s3:PutObject`, `s3:GetObject` and `s3:ListBucket` there, `bedrock:CreateModelInvocationJob`,
/// `bedrock:GetModelInvocationJob`, `bedrock:ListModelInvocationJobs` and `bedrock:StopModelInvocationJob`, and `iam:PassRole` for
/// the role. The role reads and writes the folder in the name of Bedrock.
///
/// ```
/// use unifiedai::provider::{AwsCredentials, Bedrock, BatchStorage};
/// let keys = AwsCredentials::new("AKIDEXAMPLE", "secret", None)?;
/// let storage = BatchStorage::new("arn:aws:iam::111122223333:role/batches", "s3://my-bucket/batches/")?;
/// let bedrock = Bedrock::builder().region("us-east-1").credentials(keys).batch_storage(storage).build()?;
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchStorage {
    pub(super) role_arn: String,
    folder: ObjectUri,
    endpoint_url: Option<String>,
    pub(super) bucket_owner: Option<String>,
    pub(super) timeout_hours: Option<u16>,
    pub(super) min_records: Option<u64>,
}

impl BatchStorage {
    /// A role by its ARN, and a folder by its URI, such as `s3://my-bucket/batches/`.
    ///
    /// # Errors
    /// `invalid_request` if the role is no ARN of a role, or if the folder is no URI of S3.
    pub fn new(role_arn: impl Into<String>, folder: &str) -> Result<Self, Error> {
        let role_arn = role_arn.into();
        let is_role = role_arn.starts_with("arn:aws") && role_arn.contains(":role/");
        if !is_role || role_arn.len() > 2048 {
            return Err(invalid(format!(
                "`{:.128}` is not the ARN of a role, such as `arn:aws:iam::111122223333:role/NAME`",
                role_arn.escape_debug()
            )));
        }
        Ok(BatchStorage {
            role_arn,
            folder: parse_uri(folder)?.folder(),
            endpoint_url: None,
            bucket_owner: None,
            timeout_hours: None,
            min_records: None,
        })
    }

    /// Sets another URL for S3, such as a VPC endpoint. The bucket is then the first part of the path.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Sets the account that the bucket must belong to. Required if it is not the account of the credentials.
    #[must_use]
    pub fn bucket_owner(mut self, account: impl Into<String>) -> Self {
        self.bucket_owner = Some(account.into());
        self
    }

    /// Sets after how many hours a job expires: 24 to 168. Default: the value of Bedrock.
    #[must_use]
    pub fn timeout_hours(mut self, hours: u16) -> Self {
        self.timeout_hours = Some(hours);
        self
    }

    /// Sets the quota "minimum number of records per batch inference job" of the account, which differs by model. Default 100.
    #[must_use]
    pub fn min_records(mut self, records: u64) -> Self {
        self.min_records = Some(records);
        self
    }
}

/// The settings, and the hosts of S3.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub(super) settings: BatchStorage,
    pub(super) s3: S3,
}

impl Storage {
    pub(super) fn new(
        settings: BatchStorage,
        core: &ProviderCore,
        region: &str,
        variant: Variant,
    ) -> Result<Self, Error> {
        let s3 = S3::new(core, region, variant, settings.endpoint_url.as_deref())?;
        Ok(Storage { settings, s3 })
    }

    /// The folder of requests.
    pub(super) fn input(&self) -> ObjectUri {
        self.settings.folder.join("in/")
    }

    /// The folder of results. Bedrock makes a folder in it for each job.
    pub(super) fn output(&self) -> ObjectUri {
        self.settings.folder.join("out/")
    }
}
