//! The sources of Google Cloud before servers on loopback that check what they get as the real ones do.

use super::fake::{Asked, Fake, Folder, Reply, environment, in_an_hour, reply, used};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::time::{Duration, SystemTime};
use unifiedai::ErrorKind;

const KEY: &str = include_str!("test_key.pem");
const SCOPE: &str = "https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform";

fn has(asked: &Asked, text: &str) {
    assert!(asked.body.contains(text), "{text} is not in {}", asked.body);
}

fn token(name: &str) -> Reply {
    reply(
        200,
        format!(r#"{{"access_token":"{name}","expires_in":3599,"token_type":"Bearer"}}"#),
    )
}

/// The claims of a JWT whose signature openssl finds right.
fn verified(jwt: &str) -> serde_json::Value {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let folder = Folder::new(&[("key", KEY), ("signed", signed)]);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    std::fs::write(folder.path("signature"), signature).unwrap();
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl")
            .args(arguments)
            .output();
        output.map(|output| String::from_utf8_lossy_text(output.stdout))
    };
    let public = openssl(&[
        "pkey",
        "-in",
        &folder.path("key"),
        "-pubout",
        "-out",
        &folder.path("public"),
    ]);
    if public.is_ok() {
        let said = openssl(&[
            "dgst",
            "-sha256",
            "-verify",
            &folder.path("public"),
            "-signature",
            &folder.path("signature"),
            &folder.path("signed"),
        ]);
        assert_eq!(said.unwrap().trim(), "Verified OK");
    }
    let claims = signed.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

trait Text {
    fn from_utf8_lossy_text(bytes: Vec<u8>) -> String;
}

impl Text for String {
    fn from_utf8_lossy_text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap_or_default()
    }
}

fn service_account(token_uri: &str, more: &str) -> String {
    let key = KEY.replace('\n', "\\n");
    format!(
        r#"{{"type":"service_account","client_email":"llm@demo.iam.gserviceaccount.com","private_key":"{key}","private_key_id":"kid-1","token_uri":"{token_uri}","project_id":"demo"{more}}}"#
    )
}

#[test]
fn the_key_of_a_service_account_signs_for_a_token() {
    let server = Fake::start(|asked, _| {
        assert_eq!((&*asked.method, &*asked.path), ("POST", "/token"));
        has(
            asked,
            "&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer",
        );
        let jwt = asked
            .body
            .strip_prefix("assertion=")
            .unwrap()
            .split('&')
            .next()
            .unwrap();
        let claims = verified(jwt);
        assert_eq!(claims["iss"], "llm@demo.iam.gserviceaccount.com");
        assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
            3600
        );
        token("ya29.account")
    });
    let file = service_account(
        &format!("{}/token", server.origin),
        r#","quota_project_id":"quota""#,
    );
    let folder = Folder::new(&[("adc.json", &file)]);
    let path = folder.path("adc.json");
    let environment = environment(&[("GOOGLE_APPLICATION_CREDENTIALS", &path)]);
    let (bearer, headers) = used(&environment.google()).unwrap();
    assert_eq!(bearer, "ya29.account");
    let quota = ("x-goog-user-project".to_owned(), "quota".to_owned());
    assert!(headers.contains(&quota), "{headers:?}");
    // For Vertex AI it signs the token itself.
    let (bearer, _) = used(&environment.google_for_vertex()).unwrap();
    let claims = verified(&bearer);
    assert_eq!(claims["sub"], claims["iss"]);
    assert_eq!(
        claims["scope"],
        "https://www.googleapis.com/auth/cloud-platform"
    );
    assert_eq!(server.count(), 1);
}

#[test]
fn a_wrong_clock_is_corrected_once() {
    let later = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(7200));
    let server = Fake::start(move |asked, before| {
        let jwt = asked
            .body
            .strip_prefix("assertion=")
            .unwrap()
            .split('&')
            .next()
            .unwrap();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let claims = verified(jwt);
        let ahead = claims["iat"].as_u64().unwrap().saturating_sub(now);
        match before {
            0 => reply(400, r#"{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token"}"#)
                .header("date", later()),
            _ => {
                assert!((7100..7300).contains(&ahead), "{ahead}");
                token("ya29.later").header("date", later())
            }
        }
    });
    let file = service_account(&format!("{}/token", server.origin), "");
    let folder = Folder::new(&[("adc.json", &file)]);
    let path = folder.path("adc.json");
    let source = environment(&[("GOOGLE_APPLICATION_CREDENTIALS", &path)]).google();
    assert_eq!(used(&source).unwrap().0, "ya29.later");
}

#[test]
fn a_person_who_logged_in_is_asked_to_log_in_again() {
    let server = Fake::start(|asked, before| {
        has(
            asked,
            "grant_type=refresh_token&client_id=id.apps&client_secret=canary-secret&refresh_token=1%2F%2F0canary",
        );
        match before {
            0 => token("ya29.person"),
            _ => reply(
                400,
                r#"{"error":"invalid_grant","error_subtype":"invalid_rapt","error_description":"reauth 1//0canary related error"}"#,
            ),
        }
    });
    let file = format!(
        r#"{{"type":"authorized_user","client_id":"id.apps","client_secret":"canary-secret","refresh_token":"1//0canary","token_uri":"{}/token"}}"#,
        server.origin
    );
    let folder = Folder::new(&[(".config/gcloud/application_default_credentials.json", &file)]);
    let home = folder.path("").trim_end_matches('/').to_owned();
    let source = environment(&[("HOME", &home), ("GOOGLE_CLOUD_QUOTA_PROJECT", "mine")]).google();
    let (bearer, headers) = used(&source).unwrap();
    assert_eq!(bearer, "ya29.person");
    assert!(headers.contains(&("x-goog-user-project".to_owned(), "mine".to_owned())));
    source.forget();
    let error = used(&source).unwrap_err();
    assert_eq!(error.code(), Some("credentials_login"));
    assert!(
        error
            .message()
            .contains("gcloud auth application-default login"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}

/// Google's token service and impersonation.
fn google(asked: &Asked, _: usize) -> Reply {
    match &*asked.path {
        path @ ("/v1/token" | "/v1/token-to-impersonate") => {
            assert_eq!(asked.header("authorization"), None);
            has(
                asked,
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
            );
            has(asked, "audience=%2F%2Fiam.googleapis.com%2Fpool");
            // A token that only impersonates an account has the narrower scope.
            has(
                asked,
                match path {
                    "/v1/token" => SCOPE,
                    _ => "scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fiam&",
                },
            );
            match asked.body.contains("subject_token=the.jwt&") {
                true => token("ya29.federated"),
                false => reply(
                    400,
                    r#"{"error":"invalid_grant","error_description":"the subject token canary.jwt is stale"}"#,
                ),
            }
        }
        "/impersonate/llm@demo.iam.gserviceaccount.com:generateAccessToken" => {
            let bearer = asked.header("authorization").unwrap();
            if !["Bearer ya29.federated", "Bearer ya29.person"].contains(&bearer) {
                return reply(
                    403,
                    r#"{"error":{"status":"PERMISSION_DENIED","message":"iam.serviceAccounts.getAccessToken"}}"#,
                );
            }
            has(
                asked,
                r#""scope":["https://www.googleapis.com/auth/cloud-platform"]"#,
            );
            reply(
                200,
                format!(
                    r#"{{"accessToken":"ya29.impersonated","expireTime":"{}"}}"#,
                    in_an_hour()
                ),
            )
        }
        "/subject" => {
            assert_eq!(asked.header("x-key"), Some("canary-key"));
            reply(200, r#"{"value":"the.jwt"}"#)
        }
        "/token" => token("ya29.person"),
        path => panic!("{path}"),
    }
}

fn external(origin: &str, source: &str, impersonates: bool) -> String {
    let path = match impersonates {
        true => "/v1/token-to-impersonate",
        false => "/v1/token",
    };
    let impersonation = match impersonates {
        true => format!(
            r#","service_account_impersonation_url":"{origin}/impersonate/llm@demo.iam.gserviceaccount.com:generateAccessToken""#
        ),
        false => String::new(),
    };
    format!(
        r#"{{"type":"external_account","audience":"//iam.googleapis.com/pool","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"{origin}{path}","credential_source":{source}{impersonation}}}"#
    )
}

#[test]
fn tokens_of_other_identity_providers_are_exchanged() {
    let server = Fake::start(google);
    let folder = Folder::new(&[
        ("jwt", "the.jwt\n"),
        ("json", r#"{"t":"the.jwt"}"#),
        ("stale", "canary.jwt"),
    ]);
    let path = folder.path("adc.json");
    let with = |source: &str, impersonates: bool, allowed: &str| {
        folder.write("adc.json", &external(&server.origin, source, impersonates));
        let source = environment(&[
            ("GOOGLE_APPLICATION_CREDENTIALS", &path),
            ("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", allowed),
        ])
        .google();
        used(&source).map(|(bearer, _)| bearer)
    };
    let file = |name: &str| format!(r#"{{"file":"{}"}}"#, folder.path(name));
    assert_eq!(with(&file("jwt"), false, "0").unwrap(), "ya29.federated");
    assert_eq!(with(&file("jwt"), true, "0").unwrap(), "ya29.impersonated");
    let json = format!(
        r#"{{"file":"{}","format":{{"type":"json","subject_token_field_name":"t"}}}}"#,
        folder.path("json")
    );
    assert_eq!(with(&json, false, "0").unwrap(), "ya29.federated");
    let url = format!(
        r#"{{"url":"{}/subject","headers":{{"X-Key":"canary-key"}},"format":{{"type":"json","subject_token_field_name":"value"}}}}"#,
        server.origin
    );
    assert_eq!(with(&url, false, "0").unwrap(), "ya29.federated");
    let error = with(&file("stale"), false, "0").unwrap_err();
    assert!(error.message().contains("invalid_grant"), "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    #[cfg(unix)]
    {
        let program = r#"{"executable":{"command":"printf '{\"version\":1,\"success\":true,\"id_token\":\"%s.jwt\"}' the"}}"#;
        assert_eq!(with(program, false, "1").unwrap(), "ya29.federated");
        let error = with(program, false, "0").unwrap_err();
        assert!(error.message().contains("ALLOW_EXECUTABLES"), "{error}");
        let failing = r#"{"executable":{"command":"printf '{\"version\":1,\"success\":false,\"code\":\"401\",\"message\":\"no\"}'"}}"#;
        assert!(
            with(failing, false, "1")
                .unwrap_err()
                .message()
                .contains("401: no")
        );
    }
}

#[cfg(feature = "bedrock")]
#[test]
fn keys_of_aws_are_exchanged() {
    let server = Fake::start(|asked, _| {
        has(
            asked,
            "subject_token_type=urn%3Aietf%3Aparams%3Aaws%3Atoken-type%3Aaws4_request",
        );
        // Encoded twice: as the token, and as a field of the form.
        has(asked, "subject_token=%257B%2522headers%2522");
        has(asked, "AKIAGOOGLE");
        token("ya29.aws")
    });
    let file = external(
        &server.origin,
        r#"{"environment_id":"aws1","region_url":"http://169.254.169.254/x","url":"http://169.254.169.254/y","regional_cred_verification_url":"https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}"#,
        false,
    )
    .replace("oauth:token-type:jwt", "aws:token-type:aws4_request");
    let folder = Folder::new(&[("adc.json", &file)]);
    let path = folder.path("adc.json");
    let source = environment(&[
        ("GOOGLE_APPLICATION_CREDENTIALS", &path),
        ("AWS_ACCESS_KEY_ID", "AKIAGOOGLE"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_REGION", "eu-west-1"),
    ])
    .google();
    assert_eq!(used(&source).unwrap().0, "ya29.aws");
}

#[test]
fn an_account_is_impersonated_by_a_person() {
    let server = Fake::start(google);
    let file = format!(
        r#"{{"type":"impersonated_service_account","delegates":[],"service_account_impersonation_url":"{0}/impersonate/llm@demo.iam.gserviceaccount.com:generateAccessToken","source_credentials":{{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r","token_uri":"{0}/token"}}}}"#,
        server.origin
    );
    let folder = Folder::new(&[("adc.json", &file)]);
    let path = folder.path("adc.json");
    let source = environment(&[("GOOGLE_APPLICATION_CREDENTIALS", &path)]).google();
    assert_eq!(used(&source).unwrap().0, "ya29.impersonated");
}

#[test]
fn the_metadata_server_is_known_by_its_flavor() {
    let server = Fake::start(|asked, before| {
        assert_eq!(asked.header("metadata-flavor"), Some("Google"));
        let path =
            format!("/computeMetadata/v1/instance/service-accounts/default/token?scopes={SCOPE}");
        assert_eq!(asked.path, path);
        match before {
            0 => reply(503, "not yet").header("metadata-flavor", "Google"),
            _ => token("ya29.metadata").header("metadata-flavor", "Google"),
        }
    });
    let host = server.origin.strip_prefix("http://").unwrap().to_owned();
    let source = environment(&[("GCE_METADATA_HOST", &host)]).google();
    assert_eq!(used(&source).unwrap().0, "ya29.metadata");
    let other = Fake::start(|_, _| token("canary"));
    let host = other.origin.strip_prefix("http://").unwrap().to_owned();
    let source = environment(&[("GCE_METADATA_HOST", &host)]).google();
    assert_eq!(
        used(&source).unwrap_err().code(),
        Some("credentials_missing")
    );
}

#[test]
fn the_metadata_server_gives_identity_tokens_for_other_providers() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":4102444800}"#);
    let jwt = format!("e30.{claims}.c2ln");
    let given = jwt.clone();
    let server = Fake::start(move |asked, before| {
        let audience = "https%3A%2F%2Fapi.openai.com%2Fv1";
        let path = format!(
            "/computeMetadata/v1/instance/service-accounts/default/identity?audience={audience}&format=full"
        );
        assert_eq!(asked.path, path);
        let text = if before == 0 { &*given } else { "no token" };
        reply(200, text).header("metadata-flavor", "Google")
    });
    let host = server.origin.strip_prefix("http://").unwrap().to_owned();
    let environment = environment(&[("GCE_METADATA_HOST", &host)]);
    let source = || environment.google_identity_token("https://api.openai.com/v1");
    assert_eq!(used(&source()).unwrap().0, jwt);
    let error = used(&source()).unwrap_err();
    assert_eq!(error.code(), Some("credentials_unreachable"));
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let folder = Folder::new(&[]);
    let path = folder.path("adc.json");
    let with = |content: &str| {
        folder.write("adc.json", content);
        let source = environment(&[("GOOGLE_APPLICATION_CREDENTIALS", &path)]).google();
        let error = used(&source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        error.message().to_owned()
    };
    for (content, why) in [
        ("not json canary", "is not a JSON object"),
        (r#"{"type":"gdch_service_account"}"#, "gdch_service_account"),
        ("{}", "has no `type`"),
        (
            r#"{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"canary","token_uri":"https://evil.example/"}"#,
            "evil.example",
        ),
        (
            r#"{"type":"service_account","client_email":"e","private_key":"canary"}"#,
            "PKCS#8",
        ),
        (
            r#"{"type":"external_account","subject_token_type":"t","audience":"a","credential_source":{"file":"/x","url":"http://y"}}"#,
            "exactly one",
        ),
        (
            r#"{"type":"external_account","subject_token_type":"t","audience":"a","credential_source":{"url":"http://evil.example/"}}"#,
            "https",
        ),
    ] {
        let message = with(content);
        assert!(message.contains(why), "{message}");
    }
    let source = environment(&[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/adc.json")]).google();
    let error = used(&source).unwrap_err();
    assert_eq!(error.code(), Some("credentials_missing"));
    assert!(error.message().contains("/nowhere/adc.json"), "{error}");
    let source = environment(&[("NO_GCE_CHECK", "true")]).google();
    assert_eq!(
        used(&source).unwrap_err().code(),
        Some("credentials_missing")
    );
}
