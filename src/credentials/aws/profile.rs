//! The source of keys that a profile of the shared files names.

use super::{
    container, imds,
    ini::{DEFAULT, FileKind, Profiles, Section},
    login, process, settings,
    sso::{self, Sso},
    sts::{self, Role},
};
use crate::{
    Error,
    credentials::{
        Environment, Fetcher, Token,
        errors::{config, missing},
    },
    provider::AwsCredentials,
};
use std::path::Path;

/// The source of a profile's keys: initial keys, then roles that are assumed one after the other.
#[derive(Debug)]
pub(super) struct Plan {
    base: Base,
    roles: Vec<Role>,
    /// The region of the requested profile.
    region: Option<String>,
}

#[derive(Debug)]
enum Base {
    Keys(AwsCredentials),
    WebIdentity { role: Role, token_file: String },
    Sso(Sso),
    Login(String),
    Process(String),
    Environment,
    Container,
    Instance,
}

/// The name from the environment, and whether a user chose it.
pub(super) fn name_of(environment: &Environment) -> (String, bool) {
    let name = environment
        .get("AWS_PROFILE")
        .or_else(|| environment.get("AWS_DEFAULT_PROFILE"));
    (name.unwrap_or(DEFAULT).to_owned(), name.is_some())
}

/// The paths of the two files, that of the config file first.
pub(super) fn paths(environment: &Environment) -> [Option<String>; 2] {
    let path = |variable: &str, file: &str| match environment.get(variable) {
        Some(path) => Some(environment.expanded(path)),
        None => Some(format!("{}/.aws/{file}", environment.home()?)),
    };
    [
        path("AWS_CONFIG_FILE", "config"),
        path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ]
}

/// Both files, read by a function that returns `None` for a missing one.
pub(super) fn read(
    environment: &Environment,
    file: impl Fn(&str) -> Option<String>,
) -> Result<Profiles, Error> {
    let mut profiles = Profiles::default();
    for (path, kind) in paths(environment).into_iter().zip(KINDS) {
        let Some(path) = path else { continue };
        if let Some(text) = file(&path) {
            profiles.add(&text, kind, &path)?;
        }
    }
    Ok(profiles)
}

const KINDS: [FileKind; 2] = [FileKind::Config, FileKind::Credentials];

pub(super) async fn load(io: &Fetcher, environment: &Environment) -> Result<Profiles, Error> {
    let mut profiles = Profiles::default();
    for (path, kind) in paths(environment).into_iter().zip(KINDS) {
        let Some(path) = path else { continue };
        if let Some(content) = io.try_read_file(Path::new(&path)).await? {
            let text =
                std::str::from_utf8(&content).map_err(|_| config(format!("{path} is not text")))?;
            profiles.add(text, kind, &path)?;
        }
    }
    Ok(profiles)
}

/// The keys of a profile. The files are read at each fetch, because users and programs change them.
pub(super) async fn fetch(
    io: &Fetcher,
    environment: &Environment,
    name: &str,
) -> Result<Token, Error> {
    let profiles = load(io, environment).await?;
    let environment = settings::with_profile(environment, &profiles, name);
    fetch_of(io, &environment, &profiles, name).await
}

/// The keys of a profile whose settings are in the environment already.
pub(super) async fn fetch_of(
    io: &Fetcher,
    environment: &Environment,
    profiles: &Profiles,
    name: &str,
) -> Result<Token, Error> {
    let plan = Plan::of(profiles, name)?;
    let region = || {
        environment
            .get("AWS_REGION")
            .or_else(|| environment.get("AWS_DEFAULT_REGION"))
            .or(plan.region.as_deref())
            .ok_or_else(|| {
                config(format!(
                    "the profile `{name}` assumes a role, which needs a region: set AWS_REGION or `region` in the profile"
                ))
            })
    };
    let mut token = match &plan.base {
        Base::Keys(keys) => Token::aws(keys.clone()).never_expires(),
        Base::WebIdentity { role, token_file } => {
            sts::web_identity(io, environment, region()?, role, token_file).await?
        }
        Base::Sso(sso) => sso::fetch(io, environment, sso).await?,
        Base::Login(session) => login::fetch(io, environment, session, name).await?,
        Base::Process(line) => process::fetch(io, line).await?,
        Base::Environment => super::keys_of_environment(environment)?.ok_or_else(|| {
            config(format!(
                "the profile `{name}` wants keys from the environment, where there are none"
            ))
        })?,
        Base::Container => container::fetch(io, environment).await?,
        Base::Instance => imds::fetch(io, environment).await?,
    };
    for role in &plan.roles {
        let keys = token
            .as_aws()
            .ok_or_else(|| config("a role needs AWS keys to assume it with"))?;
        token = sts::assume_role(io, environment, region()?, role, keys).await?;
    }
    Ok(token)
}

impl Plan {
    pub(super) fn of(profiles: &Profiles, name: &str) -> Result<Plan, Error> {
        let mut roles = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        let mut current = name.to_owned();
        let region = profiles
            .profile(name)
            .and_then(|profile| setting(profile, "region"));
        let base = loop {
            let profile = profiles.profile(&current).ok_or_else(|| {
                missing(format!(
                    "there is no profile `{}` in ~/.aws/config or ~/.aws/credentials",
                    current.escape_debug()
                ))
            })?;
            let is_first = seen.is_empty();
            let names_itself = seen.last() == Some(&current);
            if seen.contains(&current) && !names_itself {
                return Err(config(format!(
                    "the profile `{current}` is its own `source_profile`"
                )));
            }
            seen.push(current.clone());
            // A source profile with keys uses them, and so does one that names itself.
            if !is_first {
                if let Some(keys) = static_keys(profile, &current)? {
                    break Base::Keys(keys);
                }
                if names_itself {
                    return Err(config(format!(
                        "the profile `{current}` is its own `source_profile`, but has no keys"
                    )));
                }
            }
            let Some(arn) = setting(profile, "role_arn") else {
                break own_base(profiles, profile, &current)?;
            };
            if let Some(token_file) = setting(profile, "web_identity_token_file") {
                let role = role(profile, arn);
                break Base::WebIdentity { role, token_file };
            }
            if setting(profile, "mfa_serial").is_some() {
                return Err(config(format!(
                    "the profile `{current}` has `mfa_serial`, and there is no one to ask for a code: use `aws configure export-credentials` as a `credential_process`"
                )));
            }
            roles.push(role(profile, arn));
            let source = setting(profile, "source_profile");
            match (source, setting(profile, "credential_source").as_deref()) {
                (Some(next), None) => current = next,
                (None, Some("Environment")) => break Base::Environment,
                (None, Some("Ec2InstanceMetadata")) => break Base::Instance,
                (None, Some("EcsContainer")) => break Base::Container,
                (None, Some(other)) => {
                    return Err(config(format!(
                        "the profile `{current}` has the `credential_source` `{}`: it must be Environment, Ec2InstanceMetadata or EcsContainer",
                        other.escape_debug()
                    )));
                }
                _ => {
                    return Err(config(format!(
                        "the profile `{current}` has a `role_arn`, and needs exactly one of `source_profile` and `credential_source` with it"
                    )));
                }
            }
        };
        roles.reverse();
        Ok(Plan {
            base,
            roles,
            region,
        })
    }
}

/// The keys of a profile that assumes no role.
fn own_base(profiles: &Profiles, profile: &Section, name: &str) -> Result<Base, Error> {
    if setting(profile, "web_identity_token_file").is_some() {
        return Err(config(format!(
            "the profile `{name}` has `web_identity_token_file`, but no `role_arn`"
        )));
    }
    if let Some(sso) = sso_of(profiles, profile, name)? {
        return Ok(Base::Sso(sso));
    }
    if let Some(session) = setting(profile, "login_session") {
        return Ok(Base::Login(session));
    }
    if let Some(line) = setting(profile, "credential_process") {
        return Ok(Base::Process(line));
    }
    if let Some(keys) = static_keys(profile, name)? {
        return Ok(Base::Keys(keys));
    }
    Err(missing(format!(
        "the profile `{name}` says nothing of where its keys come from"
    )))
}

fn sso_of(profiles: &Profiles, profile: &Section, name: &str) -> Result<Option<Sso>, Error> {
    let session = setting(profile, "sso_session");
    let is_sso = session.is_some() || setting(profile, "sso_start_url").is_some();
    let (Some(account), Some(role)) = (
        setting(profile, "sso_account_id"),
        setting(profile, "sso_role_name"),
    ) else {
        return match is_sso {
            true if setting(profile, "credential_process").is_none()
                && static_keys(profile, name)?.is_none() =>
            {
                Err(config(format!(
                    "the profile `{name}` needs `sso_account_id` and `sso_role_name` beside its login"
                )))
            }
            _ => Ok(None),
        };
    };
    let shared = match &session {
        None => profile,
        Some(session) => profiles.session(session).ok_or_else(|| {
            config(format!(
                "the profile `{name}` names the session `{}`, and there is no `[sso-session {}]`",
                session.escape_debug(),
                session.escape_debug()
            ))
        })?,
    };
    let get = |key: &str| {
        let value = setting(shared, key)
            .ok_or_else(|| config(format!("the login of the profile `{name}` needs `{key}`")))?;
        // A profile may repeat the settings of its session.
        match setting(profile, key) {
            Some(own) if own != value => Err(config(format!(
                "the profile `{name}` and its session differ in `{key}`"
            ))),
            _ => Ok(value),
        }
    };
    Ok(Some(Sso {
        start_url: get("sso_start_url")?,
        region: get("sso_region")?,
        session,
        account,
        role,
    }))
}

fn role(profile: &Section, arn: String) -> Role {
    Role {
        arn,
        session_name: setting(profile, "role_session_name"),
        external_id: setting(profile, "external_id"),
        duration_seconds: setting(profile, "duration_seconds"),
    }
}

fn static_keys(profile: &Section, name: &str) -> Result<Option<AwsCredentials>, Error> {
    let (id, secret) = (
        setting(profile, "aws_access_key_id"),
        setting(profile, "aws_secret_access_key"),
    );
    match (id, secret) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => {
            let token = setting(profile, "aws_session_token");
            let keys = AwsCredentials::new(id, secret, token)
                .map_err(|error| config(format!("the profile `{name}`: {}", error.message())))?;
            Ok(Some(keys))
        }
        _ => Err(config(format!(
            "the profile `{name}` has only one of `aws_access_key_id` and `aws_secret_access_key`"
        ))),
    }
}

pub(super) fn setting(profile: &Section, name: &str) -> Option<String> {
    profile.get(name).filter(|value| !value.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = s
[profile llm]
role_arn = arn:aws:iam::1:role/llm
source_profile = dev
region = eu-west-1
[profile dev]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = LlmUser
region = eu-central-1
[sso-session corp]
sso_region = eu-central-1
sso_start_url = https://corp.awsapps.com/start
[profile twice]
role_arn = arn:aws:iam::1:role/b
source_profile = once
[profile once]
role_arn = arn:aws:iam::1:role/a
source_profile = default
[profile self]
role_arn = arn:aws:iam::1:role/s
source_profile = self
aws_access_key_id = AKIDSELF
aws_secret_access_key = s
[profile hollow]
role_arn = arn:aws:iam::1:role/s
source_profile = hollow
[profile a]
role_arn = r
source_profile = b
[profile b]
role_arn = r
source_profile = a
[profile instance]
role_arn = r
credential_source = Ec2InstanceMetadata
[profile both]
role_arn = r
credential_source = Environment
source_profile = default
[profile odd]
role_arn = r
credential_source = Moon
[profile web]
role_arn = r
web_identity_token_file = /t
[profile process]
credential_process = /bin/keys --secret canary
[profile half]
aws_access_key_id = AKID
[profile mfa]
role_arn = r
source_profile = default
mfa_serial = x
[profile nothing]
region = x
[profile login]
login_session = arn
[profile lost]
sso_session = gone
sso_account_id = 1
sso_role_name = r
";

    fn plan(name: &str) -> Result<Plan, Error> {
        let mut profiles = Profiles::default();
        profiles.add(CONFIG, FileKind::Config, "config").unwrap();
        Plan::of(&profiles, name)
    }

    #[test]
    fn profiles_lead_to_keys_and_roles() {
        let llm = plan("llm").unwrap();
        assert!(matches!(&llm.base, Base::Sso(sso) if sso.region == "eu-central-1"));
        assert_eq!(llm.region.as_deref(), Some("eu-west-1"));
        let arns = |name: &str| -> Vec<String> {
            plan(name)
                .unwrap()
                .roles
                .into_iter()
                .map(|role| role.arn)
                .collect()
        };
        assert_eq!(
            arns("twice"),
            ["arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b"]
        );
        assert_eq!(arns("self"), ["arn:aws:iam::1:role/s"]);
        assert!(arns("default").is_empty());
        assert!(matches!(plan("instance").unwrap().base, Base::Instance));
        assert!(matches!(
            plan("web").unwrap().base,
            Base::WebIdentity { .. }
        ));
        assert!(matches!(plan("process").unwrap().base, Base::Process(_)));
        assert!(matches!(plan("login").unwrap().base, Base::Login(arn) if arn == "arn"));
    }

    #[test]
    fn what_cannot_lead_to_keys_says_why() {
        for (name, why) in [
            ("hollow", "has no keys"),
            ("a", "its own `source_profile`"),
            ("both", "exactly one of"),
            ("odd", "`Moon`"),
            ("half", "only one of"),
            ("mfa", "mfa_serial"),
            ("nothing", "says nothing"),
            ("lost", "[sso-session gone]"),
            ("none", "there is no profile `none`"),
        ] {
            let error = plan(name).unwrap_err();
            assert!(error.message().contains(why), "{name}: {error}");
        }
    }
}
