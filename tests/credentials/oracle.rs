//! The vendors' own libraries as oracles: with the same environment, the same requests go to the same servers. Each
//! test is skipped where Python or the library is not installed. `UNIFIEDAI_PYTHON` names the interpreter, which is
//! `python3` by default.

use super::{
    aws::signed_by,
    comparison::{SECRET, Seen, fields, seen},
    fake::{Asked, Fake, Folder, Reply, environment, in_an_hour, reply, used},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use std::{
    process::Command,
    time::{Duration, SystemTime},
};
use unifiedai::credentials::{Credentials, Federation, SubjectToken};

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// Whether Python can import this module.
fn has(module: &str) -> bool {
    let found = python()
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: python3 has no module {module}");
    }
    found
}

fn python() -> Command {
    Command::new(std::env::var("UNIFIEDAI_PYTHON").unwrap_or_else(|_| "python3".to_owned()))
}

/// What the library gives in this environment.
fn vendor(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/credentials/oracle.py");
    let mut command = python();
    command.arg(script).args(arguments);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn taken(server: &Fake) -> Vec<Seen> {
    let asked = std::mem::take(&mut *server.asked.lock().unwrap());
    asked.iter().map(seen).collect()
}

/// The requests of the library and ours are the same.
fn same(
    server: &Fake,
    arguments: &[&str],
    variables: &[(&str, &str)],
    ours: &Credentials,
    aws: bool,
) {
    let (theirs, given) = run(server, arguments, variables, ours, aws);
    assert_eq!(theirs, given, "{arguments:?}: theirs, and ours");
    assert!(!given.is_empty());
}

fn run(
    server: &Fake,
    arguments: &[&str],
    variables: &[(&str, &str)],
    ours: &Credentials,
    aws: bool,
) -> (Vec<Seen>, Vec<Seen>) {
    let _ = taken(server);
    let their_token = vendor(arguments, variables);
    let theirs = taken(server);
    let our_token = match aws {
        true => signed_by(ours)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned(),
        false => used(ours).unwrap().0,
    };
    assert_eq!(their_token, our_token, "{arguments:?}");
    (theirs, taken(server))
}

/// The servers of all vendors.
fn servers(asked: &Asked, _: usize) -> Reply {
    let path = asked.path.split('?').next().unwrap();
    let key = format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAEXAMPLEEXAMPLE00","SecretAccessKey":"{SECRET}","Token":"t","Expiration":"{}","AccountId":"1"}}"#,
        in_an_hour()
    );
    let oauth = r#"{"access_token":"token","token_type":"Bearer","expires_in":3600,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token","ext_expires_in":3600}"#;
    let json = |body: String| reply(200, body).header("content-type", "application/json");
    match path {
        "/" => sts(asked),
        "/latest/api/token" => {
            reply(200, "session").header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        }
        "/latest/meta-data/iam/security-credentials/" => reply(200, "llm-role"),
        "/latest/meta-data/iam/security-credentials/llm-role" | "/v1/credentials" => json(key),
        "/federation/credentials" => {
            let end = SystemTime::now() + Duration::from_secs(3600);
            let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
            json(format!(
                r#"{{"roleCredentials":{{"accessKeyId":"ASIAEXAMPLEEXAMPLE00","secretAccessKey":"{SECRET}","sessionToken":"t","expiration":{end}}}}}"#
            ))
        }
        "/token" if asked.body.contains("clientSecret") => json(
            r#"{"accessToken":"renewed","tokenType":"Bearer","expiresIn":28800,"refreshToken":"next"}"#
                .to_owned(),
        ),
        "/metadata/identity/oauth2/token" | "/msi/token" => {
            let end = SystemTime::now() + Duration::from_secs(3600);
            let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            json(format!(
                r#"{{"access_token":"token","expires_in":"3600","expires_on":"{end}","resource":"r","token_type":"Bearer"}}"#
            ))
        }
        _ if path.ends_with(":generateAccessToken") => json(format!(
            r#"{{"accessToken":"token","expireTime":"{}"}}"#,
            in_an_hour()
        )),
        _ if path.ends_with("/service-accounts/default/identity") => {
            let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":4102444800,"aud":"a"}"#);
            reply(200, format!("e30.{claims}.c2ln"))
                .header("metadata-flavor", "Google")
                .header("content-type", "text/html")
        }
        _ if path.ends_with("/service-accounts/default/token") => {
            json(oauth.to_owned()).header("metadata-flavor", "Google")
        }
        _ if path.starts_with("/computeMetadata/v1/instance/service-accounts/default/") => json(
            r#"{"aliases":["default"],"email":"llm@demo.iam.gserviceaccount.com","scopes":[]}"#
                .to_owned(),
        )
        .header("metadata-flavor", "Google"),
        _ if path == "/" || path.starts_with("/computeMetadata") => {
            reply(404, "").header("metadata-flavor", "Google")
        }
        _ if path.ends_with("/openid-configuration") => {
            let at = "https://authority.test/tenant.example";
            json(format!(
                r#"{{"authorization_endpoint":"{at}/oauth2/v2.0/authorize","token_endpoint":"{at}/oauth2/v2.0/token","issuer":"{at}/v2.0"}}"#
            ))
        }
        _ => json(oauth.to_owned()),
    }
}

fn sts(asked: &Asked) -> Reply {
    let action = fields(&asked.body)
        .into_iter()
        .find(|(name, _)| name == "Action")
        .map(|(_, action)| action);
    let Some(action) = action else {
        // The question of Google's library whether this is a metadata server.
        return reply(200, "").header("metadata-flavor", "Google");
    };
    let end = in_an_hour();
    let result = match &*action {
        "GetWebIdentityToken" => {
            format!("<WebIdentityToken>a.b.c</WebIdentityToken><Expiration>{end}</Expiration>")
        }
        _ => format!(
            "<Credentials><AccessKeyId>ASIAEXAMPLEEXAMPLE00</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{end}</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/llm/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>"
        ),
    };
    reply(
        200,
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
        ),
    )
    .header("content-type", "text/xml")
}

const CONFIG: &str = "\
[profile keys]
aws_access_key_id = AKIAEXAMPLEEXAMPLE00
aws_secret_access_key = exampleSecretExampleSecretExampleSecret0
[profile session]
aws_access_key_id = ASIAEXAMPLEEXAMPLE00
aws_secret_access_key = exampleSecretExampleSecretExampleSecret0
aws_session_token = exampleSessionToken/abc+def==
[profile role]
role_arn = arn:aws:iam::111122223333:role/llm
role_session_name = session
source_profile = keys
external_id = tenant+42/=
duration_seconds = 1800
region = eu-west-1
[profile chained]
role_arn = arn:aws:iam::111122223333:role/next
role_session_name = next
source_profile = session
region = eu-west-1
[profile web]
role_arn = arn:aws:iam::111122223333:role/llm
role_session_name = web
web_identity_token_file = TOKEN
region = eu-west-1
[profile dev]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = LlmUser
region = eu-west-1
[sso-session corp]
sso_region = eu-central-1
sso_start_url = https://corp.awsapps.com/start
";

#[test]
fn botocore_sends_the_same_requests() {
    if !has("botocore") {
        return;
    }
    let server = Fake::start(servers);
    let folder = Folder::new(&[("token", "the.jwt")]);
    folder.write("config", &CONFIG.replace("TOKEN", &folder.path("token")));
    let home = folder.path("").trim_end_matches('/').to_owned();
    let (config, token) = (folder.path("config"), folder.path("token"));
    let base = vec![
        ("HOME", &*home),
        ("AWS_CONFIG_FILE", &config),
        ("AWS_ENDPOINT_URL", &server.origin),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        let mut variables: Vec<(&str, &str)> = base.clone();
        variables.extend(more);
        variables
    };
    for profile in ["role", "chained", "web"] {
        let variables = with(&[("AWS_PROFILE", profile)]);
        same(
            &server,
            &["aws"],
            &variables,
            &environment(&variables).aws(),
            true,
        );
    }

    let mut variables = with(&[
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/llm"),
        ("AWS_ROLE_SESSION_NAME", "session@host"),
    ]);
    variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", &token));
    same(
        &server,
        &["aws"],
        &variables,
        &environment(&variables).aws(),
        true,
    );

    // A login, valid and to be renewed.
    let variables = with(&[("AWS_PROFILE", "dev")]);
    for end in [in_an_hour(), "2026-01-01T00:00:00Z".to_owned()] {
        let login = || {
            let text = format!(
                r#"{{"startUrl":"https://corp.awsapps.com/start","region":"eu-central-1","accessToken":"access","expiresAt":"{end}","clientId":"id","clientSecret":"secret","registrationExpiresAt":"2099-01-01T00:00:00Z","refreshToken":"refresh"}}"#
            );
            folder.write(
                ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
                &text,
            );
        };
        login();
        let _ = taken(&server);
        let theirs = vendor(&["aws"], &variables);
        let their_requests = taken(&server);
        login();
        let ours = signed_by(&environment(&variables).aws()).unwrap();
        assert!(ours.starts_with(&theirs));
        assert_eq!(their_requests, taken(&server));
    }

    let uri = format!("{}/v1/credentials", server.origin);
    let mut variables = with(&[]);
    variables.push(("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri));
    variables.push(("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token));
    same(
        &server,
        &["aws"],
        &variables,
        &environment(&variables).aws(),
        true,
    );

    let mut variables = with(&[]);
    variables.push(("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.origin));
    same(
        &server,
        &["aws"],
        &variables,
        &environment(&variables).aws(),
        true,
    );

    let variables = with(&[
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE00"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ]);
    let audience = "https://api.openai.com/v1";
    let environment = environment(&variables);
    let ours = environment.aws_identity_token(&environment.aws(), audience);
    same(
        &server,
        &["aws_identity_token", audience],
        &variables,
        &ours,
        false,
    );
}

#[cfg(feature = "rs256")]
#[test]
fn google_auth_sends_the_same_requests() {
    if !has("google.auth.transport.requests") {
        return;
    }
    let server = Fake::start(servers);
    let origin = &server.origin;
    let key = json!({
        "type": "service_account", "project_id": "demo", "private_key_id": "k1",
        "private_key": include_str!("test_key.pem"),
        "client_email": "llm@demo.iam.gserviceaccount.com", "client_id": "1",
        "token_uri": format!("{origin}/oauth"),
    });
    let user = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "s+/=", "refresh_token": "1//0E",
        "token_uri": format!("{origin}/oauth"),
    });
    let folder = Folder::new(&[("token", "the.jwt")]);
    let url = format!(
        "{origin}/v1/projects/-/serviceAccounts/llm@demo.iam.gserviceaccount.com:generateAccessToken"
    );
    let external = |impersonates: bool| {
        let mut external = json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{origin}/sts"),
            "credential_source": { "file": folder.path("token") },
        });
        if impersonates {
            external["service_account_impersonation_url"] = json!(url);
        }
        external
    };
    let impersonated = json!({
        "type": "impersonated_service_account", "delegates": [], "source_credentials": user,
        "service_account_impersonation_url": url,
    });
    let path = folder.path("adc.json");
    let variables = [
        ("GOOGLE_APPLICATION_CREDENTIALS", &*path),
        ("HOME", "/nowhere"),
        // Otherwise the library asks Google for it.
        ("GOOGLE_CLOUD_PROJECT", "demo"),
    ];
    for file in [
        key,
        user.clone(),
        external(false),
        external(true),
        impersonated,
    ] {
        folder.write("adc.json", &file.to_string());
        same(
            &server,
            &["google", origin],
            &variables,
            &environment(&variables).google(),
            false,
        );
    }

    // Google's library asks the metadata server for more; the request for the token is ours too.
    let host = origin.strip_prefix("http://").unwrap();
    let variables = [
        ("HOME", "/nowhere"),
        ("GCE_METADATA_HOST", host),
        ("GCE_METADATA_IP", host),
    ];
    let environment = environment(&variables);
    let audience = "https://api.openai.com/v1";
    for (arguments, ours) in [
        (vec!["google", origin], environment.google()),
        (
            vec!["google_identity_token", audience],
            environment.google_identity_token(audience),
        ),
    ] {
        let (theirs, ours) = run(&server, &arguments, &variables, &ours, false);
        assert_eq!(ours.len(), 1);
        assert!(theirs.contains(&ours[0]), "{theirs:#?} {ours:#?}");
    }
}

#[test]
fn azure_identity_sends_the_same_requests() {
    if !has("azure.identity") {
        return;
    }
    let server = Fake::start(servers);
    let origin = &*server.origin;
    let folder = Folder::new(&[("token", "the.jwt")]);
    let token = folder.path("token");
    let ids = [
        ("AZURE_TENANT_ID", "tenant.example"),
        ("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
    ];
    let endpoint = format!("{origin}/msi/token");
    let cases: [(&str, Vec<(&str, &str)>); 4] = [
        (
            "EnvironmentCredential",
            vec![("AZURE_CLIENT_SECRET", "exa~mple+/=")],
        ),
        (
            "WorkloadIdentityCredential",
            vec![("AZURE_FEDERATED_TOKEN_FILE", &token)],
        ),
        (
            "ManagedIdentityCredential",
            vec![("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "h")],
        ),
        (
            "ManagedIdentityCredential",
            vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", origin)],
        ),
    ];
    for (kind, more) in cases {
        let mut variables = ids.to_vec();
        variables.extend(&more);
        let mut own = variables.clone();
        own.push(("AZURE_AUTHORITY_HOST", origin));
        own.push(("AZURE_TOKEN_CREDENTIALS", kind));
        let ours = environment(&own).azure(SCOPE);
        let (theirs, ours) = run(
            &server,
            &["azure", kind, SCOPE, origin],
            &variables,
            &ours,
            false,
        );
        assert_eq!(ours.len(), 1);
        // The library's own fields in a request for a token, which say what it is.
        let theirs: Vec<Seen> = theirs
            .into_iter()
            .filter(|seen| !seen.path.contains("openid-configuration"))
            .map(|mut seen| {
                // App Service does not read this header.
                if seen.path == "/msi/token" {
                    seen.headers.remove("metadata");
                }
                seen.body = seen.body.replace(r#"("client_info", "1"), "#, "");
                seen
            })
            .collect();
        assert_eq!(theirs, ours, "{kind}: theirs, and ours");
    }
}

#[test]
fn anthropic_and_openai_send_the_same_requests() {
    let server = Fake::start(servers);
    let origin = &*server.origin;
    let folder = Folder::new(&[("token", "the.jwt")]);
    let token = folder.path("token");
    if has("anthropic.lib.credentials") {
        let variables = [
            ("HOME", "/nowhere"),
            ("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_example"),
            ("ANTHROPIC_ORGANIZATION_ID", "org"),
            ("ANTHROPIC_IDENTITY_TOKEN_FILE", &token),
            ("ANTHROPIC_SERVICE_ACCOUNT_ID", "svac_example"),
            ("ANTHROPIC_WORKSPACE_ID", "wrkspc_example"),
            ("ANTHROPIC_BASE_URL", origin),
        ];
        let ours = environment(&variables).anthropic_federation().unwrap();
        same(
            &server,
            &["anthropic", origin],
            &variables,
            &ours.unwrap(),
            false,
        );

        let profile = json!({
            "version": "1.0", "organization_id": "org", "base_url": origin,
            "authentication": {
                "type": "oidc_federation", "federation_rule_id": "fdrl_example",
                "identity_token": { "source": "file", "path": token },
            },
        });
        folder.write("a/configs/ci.json", &profile.to_string());
        let directory = folder.path("a");
        let variables = [
            ("HOME", "/nowhere"),
            ("ANTHROPIC_CONFIG_DIR", &*directory),
            ("ANTHROPIC_PROFILE", "ci"),
            ("ANTHROPIC_WORKSPACE_ID", "wrkspc_env"),
        ];
        let ours = environment(&variables).anthropic_profile("ci").unwrap();
        same(&server, &["anthropic", origin], &variables, &ours, false);
    }
    if has("openai.auth._workload") {
        let subject = SubjectToken::File((&*token).into());
        let ours = Federation::openai("idp_example", "svc_example", subject);
        let ours = ours.url(format!("{origin}/oauth/token")).credentials();
        let arguments = ["openai", origin, &token, "idp_example", "svc_example"];
        same(&server, &arguments, &[("HOME", "/nowhere")], &ours, false);
    }
}
