//! AWS settings from the environment and from the configuration files of AWS tools.

use super::{
    Lookup, ReadFile, allows_insecure_http, environment, first, invalid_variable, read_file,
    variable, with_url,
};
use crate::{
    Error, ErrorKind,
    credentials::aws::AwsSettings,
    provider::{AwsCredentials, BatchStorage, Bedrock, ProviderBuilder},
};

impl Bedrock {
    /// Creates Bedrock with the settings of other AWS tools.
    ///
    /// - Credentials: `AWS_BEARER_TOKEN_BEDROCK`, which has precedence; else `AWS_ACCESS_KEY_ID`,
    ///   `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; else the first that [`Environment::aws`](crate::credentials::Environment::aws) finds: a web
    ///   identity's role, the keys, role, login or program of the profile `AWS_PROFILE` (default `default`), the
    ///   container's or the EC2 instance's role. The first call fetches these, and they are renewed before they expire.
    /// - Region: `AWS_REGION`, else `AWS_DEFAULT_REGION`, else the profile's.
    /// - Base URL: `AWS_ENDPOINT_URL_BEDROCK_RUNTIME` and `AWS_ENDPOINT_URL_BEDROCK`, else `AWS_ENDPOINT_URL`, else
    ///   those that `services` and `endpoint_url` of the profile name, else the region's, where
    ///   `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` apply, or those settings of the profile.
    /// - Batches: the role `BEDROCK_BATCH_ROLE_ARN` and the folder `BEDROCK_BATCH_S3_URI`, which are names of this library; the
    ///   URL of S3 is `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`, else that of the profile, else the region's.
    ///
    /// ```no_run
    /// # use unifiedai::provider::Bedrock;
    /// let provider = Bedrock::from_env()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` that names the missing or wrong setting. Without credentials its code is `missing_key`.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().read_env()?.build()
    }
}

impl ProviderBuilder<Bedrock> {
    /// Reads the settings that are not set yet from the environment, like [`Bedrock::from_env`]. With a
    /// [`base_url`](ProviderBuilder::base_url) credentials and region are optional: without credentials, requests are
    /// not signed.
    ///
    /// # Errors
    /// `invalid_request` that names the missing or wrong setting. Without credentials its code is `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        configure(self, &variable, &read_file)
    }
}

fn configure(
    mut builder: ProviderBuilder<Bedrock>,
    variable: Lookup<'_>,
    read: ReadFile<'_>,
) -> Result<ProviderBuilder<Bedrock>, Error> {
    let environment = environment(variable);
    let settings = AwsSettings::read(&environment, read)
        .map_err(|error| Error::new(ErrorKind::InvalidRequest, error.message()))?;
    let is_elsewhere = builder.has_base_url();
    let mut is_fetched = false;
    if !builder.has_auth() && !builder.has_credentials() {
        builder = match variable(API_KEY)? {
            Some(key) => builder
                .api_key(key)
                .map_err(|error| invalid_variable(&error, API_KEY))?,
            None => match keys(variable)? {
                Some(keys) => builder.credentials(keys),
                None if settings.source()? => {
                    is_fetched = true;
                    builder
                }
                None if is_elsewhere => builder,
                None => return Err(no_credentials(&settings)),
            },
        };
    }
    if !builder.has_region() {
        let is_signed = is_fetched || (!builder.has_auth() && builder.has_credentials());
        builder = match first(variable, &["AWS_REGION", "AWS_DEFAULT_REGION"])? {
            Some((_, region)) => builder.region(region),
            None => match settings.region() {
                Some(region) => builder.region(region),
                // The region is unused here: the base URL is given and nothing is signed.
                None if is_elsewhere && !is_signed => builder.region("us-east-1"),
                None => builder,
            },
        };
    }
    if is_fetched {
        let environment = match builder.region_name() {
            Some(region) => environment.or("AWS_REGION", region),
            None => environment,
        };
        builder = builder.credentials(environment.aws());
    }
    if settings.is_true("AWS_USE_FIPS_ENDPOINT") {
        builder = builder.fips(true);
    }
    if settings.is_true("AWS_USE_DUALSTACK_ENDPOINT") {
        builder = builder.dual_stack(true);
    }
    if allows_insecure_http(variable)? {
        builder = builder.allow_insecure_http();
    }
    builder = configure_batches(builder, variable, &settings)?;
    configure_endpoint(builder, &settings)
}

fn configure_batches(
    builder: ProviderBuilder<Bedrock>,
    variable: Lookup<'_>,
    settings: &AwsSettings,
) -> Result<ProviderBuilder<Bedrock>, Error> {
    const ROLE: &str = "BEDROCK_BATCH_ROLE_ARN";
    const FOLDER: &str = "BEDROCK_BATCH_S3_URI";
    if builder.has_batch_storage() {
        return Ok(builder);
    }
    let (role, folder) = match (variable(ROLE)?, variable(FOLDER)?) {
        (Some(role), Some(folder)) => (role, folder),
        (Some(_), None) => return Err(half_set(ROLE, FOLDER)),
        (None, Some(_)) => return Err(half_set(FOLDER, ROLE)),
        (None, None) => return Ok(builder),
    };
    let mut storage = BatchStorage::new(role, &folder)
        .map_err(|error| invalid_variable(&error, &[ROLE, " or ", FOLDER].concat()))?;
    if !settings.is_true(IGNORE_ENDPOINTS) {
        let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        if let Some((url, _)) = names.into_iter().find_map(|name| settings.place_of(name)) {
            storage = storage.endpoint_url(url);
        }
    }
    Ok(builder.batch_storage(storage))
}

const IGNORE_ENDPOINTS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

const API_KEY: &str = "AWS_BEARER_TOKEN_BEDROCK";

fn configure_endpoint(
    mut builder: ProviderBuilder<Bedrock>,
    settings: &AwsSettings,
) -> Result<ProviderBuilder<Bedrock>, Error> {
    if builder.has_base_url() || settings.is_true(IGNORE_ENDPOINTS) {
        return Ok(builder);
    }
    const RUNTIME: &str = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME";
    const CONTROL: &str = "AWS_ENDPOINT_URL_BEDROCK";
    const ALL: &str = "AWS_ENDPOINT_URL";
    if let Some((url, place)) = settings.place_of(RUNTIME) {
        builder = with_url(builder, &place, url, ProviderBuilder::endpoint_url)?;
    }
    if let Some((url, place)) = settings.place_of(CONTROL) {
        let set = ProviderBuilder::control_plane_endpoint_url;
        builder = with_url(builder, &place, url, set)?;
    }
    // The last one, because it is unused if both others are set.
    if let Some((url, place)) = settings.place_of(ALL) {
        builder = with_url(builder, &place, url, ProviderBuilder::base_url)?;
    }
    Ok(builder)
}

/// The AWS keys in the environment.
fn keys(variable: Lookup<'_>) -> Result<Option<AwsCredentials>, Error> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    match (variable(ID)?, variable(SECRET)?) {
        (Some(id), Some(secret)) => {
            let token = variable("AWS_SESSION_TOKEN")?;
            AwsCredentials::new(id, secret, token).map(Some)
        }
        (Some(_), None) => Err(half_set(ID, SECRET)),
        (None, Some(_)) => Err(half_set(SECRET, ID)),
        (None, None) => Ok(None),
    }
}

fn half_set(set: &str, missing: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("{set} is set, but {missing} is not"),
    )
}

fn no_credentials(settings: &AwsSettings) -> Error {
    let message = format!(
        "no AWS credentials: set {API_KEY}, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the profile `{}` in ~/.aws/config or ~/.aws/credentials keys, a role or a login",
        settings.profile.escape_debug()
    );
    Error::new(ErrorKind::InvalidRequest, message).with_code("missing_key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Auth, Provider};

    const CREDENTIALS: &str = "\
# a comment
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key=secret/+=default ; not part of it
[ work ]
aws_access_key_id=AKIDWORK
AWS_SECRET_ACCESS_KEY = canary
aws_session_token = token==
";
    const CONFIG: &str = "\
[default]
region = eu-west-1
s3 =
    region = nested
[profile work]
region = us-west-2 # here
[profile \"by role\"]
role_arn = arn:aws:iam::1:role/x
region = us-east-1
";

    fn configured(
        variables: &[(&str, &str)],
        files: bool,
        base_url: Option<&str>,
    ) -> Result<Bedrock, Error> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            Ok(found
                .map(|(_, value)| (*value).to_owned())
                .or_else(|| (name == "HOME").then(|| "/home/me".to_owned())))
        };
        let read = |path: &str| match path {
            "/home/me/.aws/credentials" | "/other/credentials" if files => {
                Some(CREDENTIALS.to_owned())
            }
            "/home/me/.aws/config" if files => Some(CONFIG.to_owned()),
            _ => None,
        };
        let builder = crate::client::env::at(Bedrock::builder(), base_url);
        configure(builder, &variable, &read)?.build()
    }

    fn url(bedrock: &Bedrock) -> &str {
        bedrock.base_url().as_str()
    }

    #[test]
    fn variables_have_the_precedence_of_aws_tools() {
        let keys = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_REGION", "us-east-2"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
        ];
        let signed = configured(&keys, true, None).unwrap();
        assert!(matches!(signed.auth(), Auth::SigV4(_)));
        assert_eq!(
            url(&signed),
            "https://bedrock-runtime.us-east-2.amazonaws.com"
        );
        let mut with_key = keys.to_vec();
        with_key.push(("AWS_BEARER_TOKEN_BEDROCK", "k"));
        with_key.push(("AWS_USE_FIPS_ENDPOINT", "TRUE"));
        with_key.push(("AWS_USE_DUALSTACK_ENDPOINT", "true"));
        let bearer = configured(&with_key, true, None).unwrap();
        assert!(matches!(bearer.auth(), Auth::Bearer(_)));
        assert_eq!(
            url(&bearer),
            "https://bedrock-runtime-fips.us-east-2.api.aws"
        );
    }

    #[test]
    fn keys_and_region_are_read_from_the_shared_files() {
        let default = configured(&[], true, None).unwrap();
        assert_eq!(
            url(&default),
            "https://bedrock-runtime.eu-west-1.amazonaws.com"
        );
        let work = configured(&[("AWS_PROFILE", "work")], true, None).unwrap();
        assert_eq!(
            url(&work),
            "https://bedrock-runtime.us-west-2.amazonaws.com"
        );
        assert!(matches!(work.auth(), Auth::SigV4(_)));
        let elsewhere = [
            ("AWS_SHARED_CREDENTIALS_FILE", "/other/credentials"),
            ("AWS_REGION", "us-east-1"),
        ];
        assert!(configured(&elsewhere, true, None).is_ok());
    }

    #[test]
    fn the_most_specific_endpoint_variable_has_precedence() {
        let base = [
            ("AWS_BEARER_TOKEN_BEDROCK", "k"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", "https://all.example"),
        ];
        let all = configured(&base, false, None).unwrap();
        assert_eq!(url(&all), "https://all.example");
        assert_eq!(
            all.control_plane_endpoint_url().as_str(),
            "https://all.example"
        );
        let mut special = base.to_vec();
        special.push(("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "https://vpc.example"));
        let runtime = configured(&special, false, None).unwrap();
        assert_eq!(url(&runtime), "https://vpc.example");
        assert_eq!(
            runtime.control_plane_endpoint_url().as_str(),
            "https://all.example"
        );
        special.push(("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"));
        let ignored = configured(&special, false, None).unwrap();
        assert_eq!(
            url(&ignored),
            "https://bedrock-runtime.us-east-1.amazonaws.com"
        );
        let given = configured(&base, false, Some("http://127.0.0.1:1")).unwrap();
        assert_eq!(url(&given), "http://127.0.0.1:1");
    }

    #[test]
    fn a_profile_sets_the_endpoint_and_its_variant() {
        let read = |variables: &[(&str, &str)], text: &'static str| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(other, _)| *other == name);
                Ok(found
                    .map(|(_, value)| (*value).to_owned())
                    .or_else(|| (name == "HOME").then(|| "/home/me".to_owned())))
            };
            let file = |path: &str| (path == "/home/me/.aws/config").then(|| text.to_owned());
            configure(Bedrock::builder(), &variable, &file)?.build()
        };
        let base = [("AWS_BEARER_TOKEN_BEDROCK", "k")];
        let services = "[default]\nregion = us-east-1\nservices = s\n[services s]\nbedrock_runtime =\n  endpoint_url = https://vpc.example\n";
        assert_eq!(url(&read(&base, services).unwrap()), "https://vpc.example");
        let all = [base[0], ("AWS_ENDPOINT_URL", "https://all.example")];
        assert_eq!(url(&read(&all, services).unwrap()), "https://all.example");
        let fips = "[default]\nregion = us-east-1\nuse_fips_endpoint = true\n";
        assert_eq!(
            url(&read(&base, fips).unwrap()),
            "https://bedrock-runtime-fips.us-east-1.amazonaws.com"
        );
        let wrong = "[default]\nregion = us-east-1\nendpoint_url = nowhere\n";
        let error = read(&base, wrong).unwrap_err();
        assert!(
            error.message().contains("the profile `default` sets"),
            "{error}"
        );
    }

    #[test]
    fn an_invalid_endpoint_is_refused_with_its_variable() {
        const NAMES: [&str; 3] = [
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
            "AWS_ENDPOINT_URL_BEDROCK",
        ];
        let key = ("AWS_BEARER_TOKEN_BEDROCK", "k");
        let region = ("AWS_REGION", "us-east-1");
        for name in NAMES {
            for url in ["nowhere", "ftp://x", "http://other.example"] {
                let error = configured(&[key, region, (name, url)], false, None).unwrap_err();
                assert!(error.message().contains(&format!("{name}:")), "{error}");
            }
            // The region is missing, whatever the URL is.
            let error = configured(&[key, (name, "nowhere")], false, None).unwrap_err();
            assert!(error.message().contains("needs a region"), "{error}");
        }
        let mut unused = vec![key, region, (NAMES[0], "nowhere")];
        unused.extend(
            NAMES
                .iter()
                .skip(1)
                .map(|name| (*name, "https://vpc.example")),
        );
        assert!(configured(&unused, false, None).is_ok());
    }

    #[test]
    fn missing_settings_are_named() {
        type Case = (&'static [(&'static str, &'static str)], bool, &'static str);
        let cases: [Case; 7] = [
            (&[], false, "AWS_BEARER_TOKEN_BEDROCK"),
            (&[("AWS_PROFILE", "none")], true, "profile `none`"),
            (&[("AWS_PROFILE", "by role")], true, "`role_arn`"),
            (
                &[("AWS_ACCESS_KEY_ID", "A")],
                true,
                "AWS_SECRET_ACCESS_KEY is not",
            ),
            (
                &[("AWS_SECRET_ACCESS_KEY", "A")],
                true,
                "AWS_ACCESS_KEY_ID is not",
            ),
            (&[("AWS_BEARER_TOKEN_BEDROCK", "k")], false, "AWS_REGION"),
            (
                &[
                    ("AWS_BEARER_TOKEN_BEDROCK", "canary\n"),
                    ("AWS_REGION", "us-east-1"),
                ],
                false,
                "AWS_BEARER_TOKEN_BEDROCK",
            ),
        ];
        for (variables, files, what) in cases {
            let error = configured(variables, files, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains(what), "{error}");
            assert!(!format!("{error} {error:#?}").contains("canary"), "{error}");
        }
        assert_eq!(
            configured(&[], false, None).unwrap_err().code(),
            Some("missing_key")
        );
    }

    #[test]
    fn batches_need_a_role_and_a_folder() {
        let base = [
            ("AWS_ACCESS_KEY_ID", "A"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_REGION", "us-east-1"),
        ];
        let role = ("BEDROCK_BATCH_ROLE_ARN", "arn:aws:iam::1:role/b");
        let folder = ("BEDROCK_BATCH_S3_URI", "s3://bucket/runs/");
        let with = |more: &[(&'static str, &'static str)]| {
            configured(&[&base[..], more].concat(), false, None)
        };
        let upload = |bedrock: &Bedrock| {
            let file = crate::provider_batch::NewFile::new("a", "text/plain", "");
            let api = bedrock.batch_api().unwrap();
            let call = api.encode_call(&crate::provider_batch::BatchCall::UploadFile(file));
            call.map(|call| call.request.uri().to_string())
        };
        assert!(upload(&with(&[]).unwrap()).is_err());
        assert_eq!(
            upload(&with(&[role, folder]).unwrap()).unwrap(),
            "https://bucket.s3.us-east-1.amazonaws.com/runs/in/a"
        );
        let elsewhere = [role, folder, ("AWS_ENDPOINT_URL_S3", "https://s3.example")];
        assert_eq!(
            upload(&with(&elsewhere).unwrap()).unwrap(),
            "https://s3.example/bucket/runs/in/a"
        );
        for (set, missing) in [(role, folder), (folder, role)] {
            let error = with(&[set]).unwrap_err();
            assert!(error.message().contains(missing.0), "{error}");
        }
        let wrong = with(&[role, ("BEDROCK_BATCH_S3_URI", "bucket")]).unwrap_err();
        assert!(wrong.message().contains("BEDROCK_BATCH_S3_URI"), "{wrong}");
    }

    #[test]
    fn a_base_url_needs_neither_credentials_nor_region() {
        let open = configured(&[], false, Some("http://127.0.0.1:1")).unwrap();
        assert!(matches!(open.auth(), Auth::None));
        let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let error = configured(&keys, false, Some("http://127.0.0.1:1")).unwrap_err();
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
    }
}
