//! Settings and logins in the files of AWS programs, and tokens that name an identity.

use super::{
    aws::{signed_by, sts_keys},
    fake::{Fake, Folder, environment, in_an_hour, reply, used},
};
use unifiedai::ErrorKind;

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIAENV"),
    ("AWS_SECRET_ACCESS_KEY", "canary"),
];

fn home_of(folder: &Folder) -> String {
    folder.path("").trim_end_matches('/').to_owned()
}

#[test]
fn a_profile_names_the_endpoints_of_services() {
    let sts = Fake::start(|_, _| sts_keys("AssumeRole", "ASIAROLE"));
    let role = "[profile keys]\naws_access_key_id = AKIAFILE\naws_secret_access_key = canary\n\
                [profile role]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = keys\n";
    let services = format!(
        "{role}services = here\n[services here]\nsts =\n  endpoint_url = {}\n",
        sts.origin
    );
    let all = format!("{role}endpoint_url = {}\n", sts.origin);
    for config in [services, all] {
        let folder = Folder::new(&[(".aws/config", &config)]);
        let home = home_of(&folder);
        let environment = environment(&[("HOME", &home), ("AWS_PROFILE", "role")]);
        assert_eq!(
            signed_by(&environment.aws()).unwrap(),
            "ASIAROLE session-ASIAROLE"
        );
        let named = environment.aws_profile("role");
        assert_eq!(signed_by(&named).unwrap(), "ASIAROLE session-ASIAROLE");
    }
    assert_eq!(sts.count(), 4);
}

#[test]
fn a_web_identity_of_the_environment_uses_the_endpoint_of_the_default_profile() {
    let sts = Fake::start(|_, _| sts_keys("AssumeRoleWithWebIdentity", "ASIAWEB"));
    let config = format!("[default]\nendpoint_url = {}\n", sts.origin);
    let folder = Folder::new(&[(".aws/config", &config), ("token", "the.jwt")]);
    let (home, token) = (home_of(&folder), folder.path("token"));
    let environment = environment(&[
        ("HOME", &home),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
    ]);
    assert_eq!(
        signed_by(&environment.aws()).unwrap(),
        "ASIAWEB session-ASIAWEB"
    );
}

#[test]
fn a_profile_names_the_metadata_service() {
    let instance = Fake::start(|asked, _| match &*asked.path {
        "/latest/api/token" => reply(200, "session"),
        "/latest/meta-data/iam/security-credentials/" => reply(200, "role"),
        _ => reply(
            200,
            format!(
                r#"{{"AccessKeyId":"ASIAINSTANCE","SecretAccessKey":"canary","Token":"t","Expiration":"{}"}}"#,
                in_an_hour()
            ),
        ),
    });
    let config = format!(
        "[default]\nregion = eu-west-1\nec2_metadata_service_endpoint = {}/\nmetadata_service_num_attempts = 1\n",
        instance.origin
    );
    let folder = Folder::new(&[(".aws/config", &config)]);
    let home = home_of(&folder);
    let environment = environment(&[("HOME", &home)]);
    assert_eq!(signed_by(&environment.aws()).unwrap(), "ASIAINSTANCE t");
}

#[test]
fn a_login_by_aws_login_is_used_while_it_is_valid() {
    let arn = "arn:aws:iam::111122223333:user/dev";
    let config = format!("[profile dev]\nlogin_session = {arn}\n");
    let folder = Folder::new(&[(".aws/config", &config)]);
    let (home, cache) = (home_of(&folder), folder.path("cache"));
    let environment = environment(&[
        ("HOME", &home),
        ("AWS_PROFILE", "dev"),
        ("AWS_LOGIN_CACHE_DIRECTORY", &cache),
    ]);
    let error = signed_by(&environment.aws()).unwrap_err();
    assert_eq!(error.code(), Some("credentials_login"));
    assert!(
        error.message().contains("aws login --profile dev"),
        "{error}"
    );
    // The SHA-256 of the ARN.
    let file = {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(arn);
        let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("cache/{}.json", hex.concat())
    };
    let login = |end: &str| {
        format!(
            r#"{{"accessToken":{{"accessKeyId":"ASIALOGIN","secretAccessKey":"canary","sessionToken":"s","accountId":"1","expiresAt":"{end}"}},"refreshToken":"canary","dpopKey":"canary"}}"#
        )
    };
    folder.write(&file, &login(&in_an_hour()));
    assert_eq!(signed_by(&environment.aws()).unwrap(), "ASIALOGIN s");
    folder.write(&file, &login("2026-01-01T00:00:00Z"));
    let error = signed_by(&environment.aws()).unwrap_err();
    assert_eq!(error.code(), Some("credentials_login"));
    assert!(error.message().contains("have expired"), "{error}");
    folder.write(&file, "[]");
    let error = signed_by(&environment.aws()).unwrap_err();
    assert_eq!(error.code(), Some("credentials_config"));
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}

#[test]
fn sts_issues_a_token_that_names_the_identity_of_keys() {
    let sts = Fake::start(|asked, before| {
        assert_eq!(
            asked.body,
            "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=https%3A%2F%2Fapi.openai.com%2Fv1&SigningAlgorithm=RS256"
        );
        let authorization = asked.header("authorization").unwrap();
        assert!(authorization.contains("/eu-west-1/sts/aws4_request"));
        match before {
            0 => reply(
                200,
                format!(
                    "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>the.jwt</WebIdentityToken><Expiration>{}</Expiration></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>",
                    in_an_hour()
                ),
            ),
            _ => reply(
                403,
                "<ErrorResponse><Error><Code>OutboundWebIdentityFederationDisabledException</Code><Message>off</Message></Error></ErrorResponse>",
            ),
        }
    });
    let mut variables = KEYS.to_vec();
    variables.push(("AWS_REGION", "eu-west-1"));
    variables.push(("AWS_ENDPOINT_URL_STS", &sts.origin));
    let environment = environment(&variables);
    let source = || environment.aws_identity_token(&environment.aws(), "https://api.openai.com/v1");
    assert_eq!(used(&source()).unwrap().0, "the.jwt");
    let error = used(&source()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert_eq!(error.code(), Some("credentials_config"));
    assert!(error.message().contains("not enabled"), "{error}");
}
