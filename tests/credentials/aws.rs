//! The sources of AWS before servers on loopback that check what they get as the real ones do.

use super::{
    fake::{Asked, Fake, Folder, Reply, environment, in_an_hour, reply},
    manual_driver::WHOLE,
};
use std::{
    fs,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, Client, Error, ErrorKind,
    credentials::Credentials,
    provider::{Auth, OpenAiChat, Signer},
    transport::UreqTransport,
};

/// A provider that says who signed.
pub(crate) fn signed_by(credentials: &Credentials) -> Result<String, Error> {
    let llm = Fake::start(|_, _| reply(200, WHOLE).header("content-type", "application/json"));
    let signer = Signer::new(credentials.clone(), "eu-west-1", "bedrock").unwrap();
    let provider = OpenAiChat::custom(format!("{}/v1", llm.origin)).auth(Auth::SigV4(signer));
    let options = CallOptions::default()
        .timeout(Duration::from_secs(60))
        .max_retries(0);
    let client = Client::new(UreqTransport::new(), provider.build().unwrap()).with_options(options);
    client.chat(ChatRequest::new("m").user("hi"))?;
    let asked = llm.asked.lock().unwrap();
    let token = asked[0]
        .header("x-amz-security-token")
        .unwrap_or("no token");
    let authorization = asked[0].header("authorization").unwrap();
    let (_, rest) = authorization.split_once("Credential=").unwrap();
    let (key, _) = rest.split_once('/').unwrap();
    assert!(!authorization.contains("canary"));
    Ok(format!("{key} {token}"))
}

pub(crate) fn sts_keys(action: &str, key: &str) -> Reply {
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\n<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>canary&#43;secret</SecretAccessKey>\n<SessionToken>session-{key}</SessionToken><Expiration>{}</Expiration></Credentials></{action}Result></{action}Response>",
        in_an_hour()
    );
    reply(200, body).header("content-type", "text/xml")
}

fn sts_error(status: u16, code: &str, message: &str) -> Reply {
    reply(
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        ),
    )
}

/// STS as far as it matters here.
fn sts(asked: &Asked, _: usize) -> Reply {
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/"));
    let has = |text: &str| asked.body.contains(text);
    assert!(has("Version=2011-06-15"), "{}", asked.body);
    let authorization = asked.header("authorization").unwrap_or_default();
    if has("Action=AssumeRoleWithWebIdentity&") {
        assert_eq!(authorization, "", "it is not signed");
        return match has("WebIdentityToken=the.jwt&")
            || asked.body.ends_with("WebIdentityToken=the.jwt")
        {
            true => sts_keys("AssumeRoleWithWebIdentity", "ASIAWEB"),
            false => sts_error(
                400,
                "ExpiredTokenException",
                "the token canary.jwt has expired",
            ),
        };
    }
    assert!(has("Action=AssumeRole&"), "{}", asked.body);
    assert!(
        authorization.contains("/eu-west-1/sts/aws4_request"),
        "{authorization}"
    );
    if has("denied") {
        return sts_error(
            403,
            "AccessDenied",
            "User is not authorized to perform: sts:AssumeRole",
        );
    }
    let by = authorization
        .split_once("Credential=")
        .unwrap()
        .1
        .split_once('/')
        .unwrap()
        .0;
    let role = if has("role%2Fsecond") {
        "SECOND"
    } else {
        "FIRST"
    };
    sts_keys("AssumeRole", &format!("ASIA{role}BY{by}"))
}

#[test]
fn a_web_identity_becomes_the_keys_of_its_role() {
    let (sts, folder) = (Fake::start(sts), Folder::new(&[("token", "the.jwt\n")]));
    let file = folder.path("token");
    let credentials = environment(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/llm"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_STS", &sts.origin),
    ])
    .aws();
    assert_eq!(signed_by(&credentials).unwrap(), "ASIAWEB session-ASIAWEB");
    assert_eq!(signed_by(&credentials).unwrap(), "ASIAWEB session-ASIAWEB");
    assert_eq!(sts.count(), 1);
    // The file is read again for each fetch, and once more where its token has expired.
    credentials.forget();
    folder.write("token", "canary.jwt");
    let error = signed_by(&credentials).unwrap_err();
    assert_eq!(sts.count(), 3);
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Credentials, Some("credentials_refused"))
    );
    assert!(error.message().contains("127.0.0.1"), "{error}");
    assert!(error.message().contains("ExpiredTokenException"), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    fs::remove_file(&file).unwrap();
    let fresh = environment(&[
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_STS", &sts.origin),
    ])
    .aws_web_identity("arn:aws:iam::1:role/x", &file);
    let error = signed_by(&fresh).unwrap_err();
    assert_eq!(error.code(), Some("credentials_missing"));
    assert!(error.message().contains(&file), "{error}");
}

#[test]
fn profiles_give_keys_roles_and_what_programs_print() {
    let sts = Fake::start(sts);
    let config = "[profile keys]\n[profile first]\nrole_arn = arn:aws:iam::1:role/first\nsource_profile = keys\n\
         [profile second]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/second\nsource_profile = first\n\
         [profile denied]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/denied\nsource_profile = keys\n\
         [profile program]\ncredential_process = printf '%s' '{\"Version\":1,\"AccessKeyId\":\"AKIAPROGRAM\",\"SecretAccessKey\":\"canary\"}'\n\
         [profile broken]\ncredential_process = echo canary-line-of-a-program >&2; exit 4 # canary\n";
    let folder = Folder::new(&[
        (".aws/config", config),
        (
            ".aws/credentials",
            "[keys]\naws_access_key_id = AKIAFILE\naws_secret_access_key = canary\n",
        ),
    ]);
    let home = folder.path("");
    let environment = environment(&[
        ("HOME", home.trim_end_matches('/')),
        ("AWS_ENDPOINT_URL", &sts.origin),
    ]);
    assert_eq!(
        signed_by(&environment.aws_profile("keys")).unwrap(),
        "AKIAFILE no token"
    );
    assert_eq!(
        signed_by(&environment.aws_profile("second")).unwrap(),
        "ASIASECONDBYASIAFIRSTBYAKIAFILE session-ASIASECONDBYASIAFIRSTBYAKIAFILE"
    );
    assert_eq!(sts.count(), 2);
    let error = signed_by(&environment.aws_profile("denied")).unwrap_err();
    assert!(error.message().contains("AccessDenied"), "{error}");
    assert!(error.message().contains("aws profile denied"), "{error}");
    assert_eq!(error.code(), Some("credentials_refused"));
    #[cfg(unix)]
    {
        assert_eq!(
            signed_by(&environment.aws_profile("program")).unwrap(),
            "AKIAPROGRAM no token"
        );
        let error = signed_by(&environment.aws_profile("broken")).unwrap_err();
        assert!(error.message().contains('4'), "{error}");
        assert!(!error.message().contains("# canary"), "{error}");
    }
    let error = signed_by(&environment.aws_profile("absent")).unwrap_err();
    assert_eq!(error.code(), Some("credentials_missing"));
    // Keys that are changed in the file are found when they are refused or forgotten.
    let keys = environment.aws_profile("keys");
    signed_by(&keys).unwrap();
    folder.write(
        ".aws/credentials",
        "[keys]\naws_access_key_id = AKIANEW\naws_secret_access_key = canary\n",
    );
    assert_eq!(signed_by(&keys).unwrap(), "AKIAFILE no token");
    keys.forget();
    assert_eq!(signed_by(&keys).unwrap(), "AKIANEW no token");
}

fn sso_servers(asked: &Asked, _: usize) -> Reply {
    if asked.path == "/token" {
        assert!(
            asked.body.contains("\"grantType\":\"refresh_token\""),
            "{}",
            asked.body
        );
        return match asked.body.contains("\"refreshToken\":\"refresh-1\"") {
            true => reply(
                200,
                r#"{"accessToken":"access-2","tokenType":"Bearer","expiresIn":3600,"refreshToken":"refresh-2"}"#,
            ),
            false => reply(
                400,
                r#"{"error":"invalid_grant","error_description":"refused canary"}"#,
            ),
        };
    }
    assert_eq!(
        asked.path,
        "/federation/credentials?account_id=111122223333&role_name=LlmUser"
    );
    match asked.header("x-amz-sso_bearer_token").unwrap() {
        token @ ("access-1" | "access-2") => {
            let end = SystemTime::now() + Duration::from_secs(3600);
            let end = end
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_millis();
            let key = format!("ASIA{}", token.replace('-', "").to_uppercase());
            reply(
                200,
                format!(
                    r#"{{"roleCredentials":{{"accessKeyId":"{key}","secretAccessKey":"canary","sessionToken":"s","expiration":{end}}}}}"#
                ),
            )
        }
        _ => reply(401, r#"{"message":"Session token not found or invalid"}"#),
    }
}

#[test]
fn a_login_is_used_and_renewed() {
    let sso = Fake::start(sso_servers);
    let config = "[profile dev]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = LlmUser\n\
                  [sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://corp.awsapps.com/start\n";
    let folder = Folder::new(&[(".aws/config", config)]);
    let home = folder.path("").trim_end_matches('/').to_owned();
    let cache = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    let credentials = || {
        environment(&[
            ("HOME", &home),
            ("AWS_PROFILE", "dev"),
            ("AWS_ENDPOINT_URL_SSO", &sso.origin),
            ("AWS_ENDPOINT_URL_SSO_OIDC", &sso.origin),
        ])
        .aws()
    };
    let error = signed_by(&credentials()).unwrap_err();
    assert_eq!(error.code(), Some("credentials_login"));
    assert!(
        error.message().contains("aws sso login --sso-session corp"),
        "{error}"
    );

    let login = |access: &str, end: &str, refresh: &str| {
        format!(
            r#"{{"startUrl":"https://corp.awsapps.com/start","accessToken":"{access}","expiresAt":"{end}","clientId":"id","clientSecret":"canary-secret","registrationExpiresAt":"2099-01-01T00:00:00Z","refreshToken":"{refresh}","kept":1}}"#
        )
    };
    folder.write(cache, &login("access-1", &in_an_hour(), "refresh-1"));
    assert_eq!(signed_by(&credentials()).unwrap(), "ASIAACCESS1 s");

    folder.write(
        cache,
        &login("access-1", "2026-01-01T00:00:00Z", "refresh-1"),
    );
    assert_eq!(signed_by(&credentials()).unwrap(), "ASIAACCESS2 s");
    let kept = fs::read_to_string(folder.path(cache)).unwrap();
    for text in [
        r#""accessToken":"access-2""#,
        r#""refreshToken":"refresh-2""#,
        r#""kept":1"#,
    ] {
        assert!(kept.contains(text), "{kept}");
    }

    folder.write(
        cache,
        &login("access-1", "2026-01-01T00:00:00Z", "refresh-canary"),
    );
    let error = signed_by(&credentials()).unwrap_err();
    assert_eq!(error.code(), Some("credentials_login"));
    folder.write(cache, &login("canary-access", &in_an_hour(), "refresh-1"));
    let other = signed_by(&credentials()).unwrap_err();
    assert_eq!(other.code(), Some("credentials_login"));
    for error in [error, other] {
        assert!(error.message().contains("aws sso login"), "{error}");
        assert!(!error.message().contains("canary-"), "{error}");
    }
}

#[test]
fn a_container_gives_keys_for_its_token() {
    let agent = Fake::start(|asked, before| {
        assert_eq!(
            (&*asked.method, &*asked.path),
            ("GET", "/v1/credentials?x=1")
        );
        match (asked.header("authorization"), before) {
            (_, 0) => reply(503, "not yet"),
            (Some("pod-token"), _) => reply(
                200,
                format!(
                    r#"{{"AccessKeyId":"ASIAPOD","SecretAccessKey":"canary","Token":"s","Expiration":"{}","RoleArn":"r"}}"#,
                    in_an_hour()
                ),
            ),
            _ => reply(403, r#"{"code":"AccessDenied","message":"who is this"}"#),
        }
    });
    let folder = Folder::new(&[("token", "pod-token"), ("wrong", "canary-token")]);
    let url = format!("{}/v1/credentials?x=1", agent.origin);
    let with = |file: &str| {
        environment(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &folder.path(file)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-second-choice"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .aws()
    };
    assert_eq!(signed_by(&with("token")).unwrap(), "ASIAPOD s");
    let error = signed_by(&with("wrong")).unwrap_err();
    assert!(
        error.message().contains("AccessDenied: who is this"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    assert_eq!(
        signed_by(&with("absent")).unwrap_err().code(),
        Some("credentials_missing")
    );
    for url in [
        "http://evil.example/",
        "http://10.0.0.1/v1",
        "http://evil@169.254.170.2/",
    ] {
        let source = environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]).aws_container();
        assert_eq!(
            signed_by(&source).unwrap_err().code(),
            Some("credentials_config"),
            "{url}"
        );
    }
}

/// IMDSv2 with faults: the session ends once, and the role is changed once.
fn instance(asked: &Asked, before: usize) -> Reply {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    if asked.path == "/latest/api/token" {
        assert_eq!(asked.method, "PUT");
        assert_eq!(
            asked.header("x-aws-ec2-metadata-token-ttl-seconds"),
            Some("21600")
        );
        return reply(200, format!("session-{before}"));
    }
    assert_eq!(asked.method, "GET");
    let session = asked.header("x-aws-ec2-metadata-token").unwrap();
    match asked.path.strip_prefix(ROLES).unwrap() {
        _ if session == "session-0" => reply(401, ""),
        "" if before == 3 => reply(200, "old-role"),
        "" => reply(200, "llm-role\nother"),
        "llm-role" => reply(
            200,
            format!(
                r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAEC2","SecretAccessKey":"canary","Token":"s","Expiration":"{}"}}"#,
                in_an_hour()
            ),
        ),
        _ => reply(404, ""),
    }
}

#[test]
fn an_instance_gives_the_keys_of_its_role() {
    let imds = Fake::start(instance);
    let credentials = environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.origin)]).aws();
    assert_eq!(signed_by(&credentials).unwrap(), "ASIAEC2 s");
    let off = Fake::start(|_, _| reply(403, ""));
    let source = environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &off.origin)]).aws_instance();
    let error = signed_by(&source).unwrap_err();
    assert!(error.message().contains("version 1 is not used"), "{error}");
    // Neither is a request that had no answer.
    let moved = Fake::start(|_, _| reply(302, "").header("location", "http://127.0.0.1:1/"));
    for (endpoint, what) in [
        (&*moved.origin, "a redirect"),
        ("http://imds.example", "only be asked over https"),
    ] {
        let source = environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)]).aws();
        let error = signed_by(&source).unwrap_err();
        assert_eq!(error.code(), Some("credentials_config"), "{error}");
        assert!(error.message().contains(what), "{error}");
    }
    let none = Fake::start(|asked, _| match &*asked.method {
        "PUT" => reply(200, "t"),
        _ => reply(404, ""),
    });
    let source = environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &none.origin)]).aws();
    let error = signed_by(&source).unwrap_err();
    assert_eq!(error.code(), Some("credentials_missing"));
    assert!(error.message().contains("has no role"), "{error}");
    let old = Fake::start(|asked, _| match &*asked.method {
        "PUT" => reply(200, "t"),
        _ if asked.path.ends_with('/') => reply(200, "r"),
        _ => reply(
            200,
            r#"{"Code":"Success","AccessKeyId":"ASIAOLD","SecretAccessKey":"canary","Token":"s","Expiration":"2026-01-01T00:00:00Z"}"#,
        ),
    });
    let source = environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &old.origin)]).aws();
    assert_eq!(
        signed_by(&source).unwrap(),
        "ASIAOLD s",
        "expired keys of an instance are used"
    );
}

#[test]
fn bedrock_is_called_with_the_keys_of_a_container() {
    let keys = unifiedai_loopback::AwsKeys {
        session_token: Some("session+/=token".to_owned()),
        ..unifiedai_loopback::AwsKeys::default()
    };
    let config = unifiedai_loopback::Config {
        aws: Some(keys),
        ..unifiedai_loopback::Config::fast()
    };
    // It checks signatures as AWS does.
    let bedrock = unifiedai_loopback::Loopback::start(config).unwrap();
    let agent = Fake::start(|_, _| {
        reply(
            200,
            format!(
                r#"{{"AccessKeyId":"AKIDLOOPBACK","SecretAccessKey":"loopback-secret","Token":"session+/=token","Expiration":"{}"}}"#,
                in_an_hour()
            ),
        )
    });
    let source = environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.origin)]).aws();
    let provider = unifiedai::provider::Bedrock::builder()
        .region("us-east-1")
        .base_url(bedrock.origin())
        .credentials(source);
    let client = Client::new(UreqTransport::new(), provider.build().unwrap());
    let ask = || {
        ChatRequest::new("amazon.nova-lite-v1:0")
            .user("hi")
            .max_tokens(50)
    };
    assert!(!client.chat(ask()).unwrap().text().is_empty());
    assert!(client.stream(ask()).unwrap().into_response().is_ok());
    assert_eq!(agent.count(), 1);
}

#[test]
fn what_is_configured_and_fails_is_the_end_of_the_chain() {
    let sts = Fake::start(|_, _| sts_error(403, "AccessDenied", "no"));
    let imds = Fake::start(instance);
    let folder = Folder::new(&[("token", "the.jwt")]);
    let file = folder.path("token");
    let source = environment(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/llm"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_STS", &sts.origin),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.origin),
    ])
    .aws();
    assert!(
        signed_by(&source)
            .unwrap_err()
            .message()
            .contains("AccessDenied")
    );
    assert_eq!(imds.count(), 0);
    let half = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.origin),
    ])
    .aws();
    assert_eq!(
        signed_by(&half).unwrap_err().code(),
        Some("credentials_config")
    );
    assert_eq!(imds.count(), 0);
}

#[test]
fn a_short_term_key_of_bedrock_is_made_of_other_keys() {
    let llm = Fake::start(|_, _| reply(200, WHOLE).header("content-type", "application/json"));
    let environment = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIAX"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
    ]);
    let key = environment.aws_bedrock_key(&environment.aws(), "eu-west-1");
    let provider = OpenAiChat::custom(format!("{}/v1", llm.origin)).auth(Auth::Bearer(key.into()));
    let client = Client::new(UreqTransport::new(), provider.build().unwrap());
    client.chat(ChatRequest::new("m").user("hi")).unwrap();
    let asked = llm.asked.lock().unwrap();
    assert!(
        asked[0]
            .header("authorization")
            .unwrap()
            .starts_with("Bearer bedrock-api-key-YmVkcm9jay5hbWF6b25hd3Mu")
    );
}

#[test]
fn faults_of_sts_are_tried_again_and_a_wrong_clock_is_learned() {
    let sts = Fake::start(|asked, before| match before {
        0 => reply(500, "oops"),
        1 => sts_error(400, "IDPCommunicationError", "try again"),
        _ => sts(asked, before),
    });
    let folder = Folder::new(&[("token", "the.jwt")]);
    let file = folder.path("token");
    let base = environment(&[
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_STS", &sts.origin),
    ]);
    let source = base.aws_web_identity("arn:aws:iam::1:role/llm", &file);
    assert_eq!(signed_by(&source).unwrap(), "ASIAWEB session-ASIAWEB");
    assert_eq!(sts.count(), 3);

    let early = Fake::start(|asked, before| match before {
        0 => sts_error(403, "SignatureDoesNotMatch", "Signature expired").header(
            "date",
            httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(7200)),
        ),
        _ => self::sts(asked, before).header(
            "date",
            httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(7200)),
        ),
    });
    let keys = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIAX"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
    ])
    .aws();
    let role = environment(&[
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_STS", &early.origin),
    ])
    .aws_assume_role(&keys, "arn:aws:iam::1:role/first");
    // By that clock the keys have expired already, which is what the test is about.
    let error = signed_by(&role).unwrap_err();
    assert!(error.message().contains("expired already"), "{error}");
    assert_eq!(early.count(), 2);
    let dates: Vec<String> = early
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|asked| asked.header("x-amz-date").unwrap().to_owned())
        .collect();
    assert!(dates[0] < dates[1], "{dates:?}");
}

/// A server of another project that stands in for AWS: moto (`pip install moto[server]`). Skipped without it.
#[test]
fn moto_gives_keys_for_a_web_identity_a_role_and_an_instance() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let started = std::process::Command::new("moto_server")
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(moto) = started else {
        println!("skipped: moto_server is not installed (pip install 'moto[server]')");
        return;
    };
    struct Server(std::process::Child);
    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let _moto = Server(moto);
    let is_up = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    assert!(is_up, "moto did not start");
    let origin = format!("http://127.0.0.1:{port}");
    let folder = Folder::new(&[("token", "the.jwt")]);
    let file = folder.path("token");
    let base = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_STS", &*origin),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &origin),
    ];
    let environment = environment(&base);
    let role = "arn:aws:iam::111122223333:role/llm";
    for source in [
        environment.aws_web_identity(role, &file),
        environment.aws_assume_role(&environment.aws_web_identity(role, &file), role),
        environment.aws_assume_role(&environment.aws_instance(), role),
    ] {
        let keys = signed_by(&source).unwrap();
        assert!(keys.starts_with("ASIA"), "{keys}");
        assert!(!keys.ends_with("no token"), "{keys}");
    }
    assert!(signed_by(&environment.aws()).is_ok());
}
