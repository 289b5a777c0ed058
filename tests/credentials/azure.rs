//! The sources of Azure before servers on loopback that check what they get as the real ones do.

use super::fake::{Fake, Folder, environment, reply, used};
use std::time::{Duration, SystemTime};
use unifiedai::credentials::Environment;

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const RESOURCE: &str = "resource=https%3A%2F%2Fcognitiveservices.azure.com";

fn source(variables: &[(&str, &str)]) -> unifiedai::credentials::Credentials {
    environment(variables).azure(SCOPE)
}

#[test]
fn a_client_secret_becomes_a_token() {
    let entra = Fake::start(|asked, before| {
        assert_eq!(
            (&*asked.method, &*asked.path),
            ("POST", "/tenant-1/oauth2/v2.0/token")
        );
        assert_eq!(
            asked.body,
            "grant_type=client_credentials&client_id=client-1&client_secret=canary~secret&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        );
        match before {
            0 => reply(503, ""),
            1 => reply(
                200,
                r#"{"token_type":"Bearer","expires_in":3599,"refresh_in":1800,"access_token":"eyJ-entra"}"#,
            ),
            _ => reply(
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret canary~secret provided.\r\nTrace ID: x","error_codes":[7000215]}"#,
            ),
        }
    });
    let credentials = source(&[
        ("AZURE_TENANT_ID", "tenant-1"),
        ("AZURE_CLIENT_ID", "client-1"),
        ("AZURE_CLIENT_SECRET", "canary~secret"),
        ("AZURE_AUTHORITY_HOST", &entra.origin),
    ]);
    assert_eq!(used(&credentials).unwrap().0, "eyJ-entra");
    credentials.forget();
    let error = used(&credentials).unwrap_err();
    assert_eq!(error.code(), Some("credentials_refused"));
    assert!(error.message().contains("AADSTS7000215"), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    let half = source(&[("AZURE_CLIENT_SECRET", "s"), ("AZURE_TENANT_ID", "t")]);
    assert!(
        used(&half)
            .unwrap_err()
            .message()
            .contains("AZURE_CLIENT_ID")
    );
}

#[test]
fn a_workload_identity_reads_its_file_for_each_exchange() {
    let folder = Folder::new(&[("token", "first.jwt\n")]);
    let file = folder.path("token");
    let path = file.clone();
    let entra = Fake::start(move |asked, _| {
        assert!(asked.body.contains(
            "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
        ));
        match asked.body.contains("client_assertion=second.jwt&") {
            true => reply(
                200,
                r#"{"token_type":"Bearer","expires_in":"3599","access_token":"eyJ-workload"}"#,
            ),
            false => {
                // The file is replaced just now.
                std::fs::write(&path, "second.jwt").unwrap();
                reply(
                    401,
                    r#"{"error":"invalid_client","error_description":"AADSTS700024: Client assertion is not within its valid time range."}"#,
                )
            }
        }
    });
    let credentials = source(&[
        ("AZURE_TENANT_ID", "tenant-1"),
        ("AZURE_CLIENT_ID", "client-1"),
        ("AZURE_FEDERATED_TOKEN_FILE", &file),
        ("AZURE_AUTHORITY_HOST", &entra.origin),
    ]);
    assert_eq!(used(&credentials).unwrap().0, "eyJ-workload");
    assert_eq!(entra.count(), 2);
}

#[test]
fn every_kind_of_managed_identity_is_asked_in_its_way() {
    let end = SystemTime::now() + Duration::from_secs(3600);
    let end = end
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let server = Fake::start(move |asked, _| {
        let kind = match (asked.path.split('?').next().unwrap(), &*asked.method) {
            ("/app", "GET") => {
                assert_eq!(asked.header("x-identity-header"), Some("canary-header"));
                assert!(
                    asked.path.contains("api-version=2019-08-01"),
                    "{}",
                    asked.path
                );
                assert!(asked.path.ends_with("&client_id=me"), "{}", asked.path);
                "app"
            }
            ("/ml", "GET") => {
                assert_eq!(asked.header("secret"), Some("canary-secret"));
                assert!(
                    asked.path.contains("api-version=2017-09-01"),
                    "{}",
                    asked.path
                );
                assert!(asked.path.ends_with("&clientid=me"), "{}", asked.path);
                "ml"
            }
            ("/shell", "POST") => {
                assert_eq!(asked.header("metadata"), Some("true"));
                assert_eq!(asked.body, RESOURCE);
                "shell"
            }
            ("/metadata/identity/oauth2/token", "GET") => {
                assert_eq!(asked.header("metadata"), Some("true"));
                assert!(
                    asked.path.contains("api-version=2018-02-01"),
                    "{}",
                    asked.path
                );
                "vm"
            }
            other => panic!("{other:?}"),
        };
        assert!(
            asked.method == "POST" || asked.path.contains(RESOURCE),
            "{}",
            asked.path
        );
        reply(
            200,
            format!(
                r#"{{"access_token":"eyJ-{kind}","expires_on":"{end}","token_type":"Bearer"}}"#
            ),
        )
    });
    let at = |path: &str| format!("{}{path}", server.origin);
    let (app, ml, shell) = (at("/app"), at("/ml"), at("/shell"));
    let cases: [(&str, Vec<(&str, &str)>); 4] = [
        (
            "eyJ-app",
            vec![
                ("IDENTITY_ENDPOINT", &app),
                ("IDENTITY_HEADER", "canary-header"),
                ("AZURE_CLIENT_ID", "me"),
            ],
        ),
        (
            "eyJ-ml",
            vec![
                ("MSI_ENDPOINT", &ml),
                ("MSI_SECRET", "canary-secret"),
                ("AZURE_CLIENT_ID", "me"),
            ],
        ),
        ("eyJ-shell", vec![("MSI_ENDPOINT", &shell)]),
        (
            "eyJ-vm",
            vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server.origin)],
        ),
    ];
    for (token, variables) in cases {
        assert_eq!(used(&source(&variables)).unwrap().0, token);
    }
    let fabric = source(&[
        ("IDENTITY_ENDPOINT", &app),
        ("IDENTITY_HEADER", "h"),
        ("IDENTITY_SERVER_THUMBPRINT", "t"),
    ]);
    assert!(
        used(&fabric)
            .unwrap_err()
            .message()
            .contains("Service Fabric")
    );
}

#[test]
fn arc_cannot_make_us_send_any_file() {
    for realm in [
        "/etc/passwd",
        "/var/opt/azcmagent/tokens/../../../etc/x.key",
        "/var/opt/azcmagent/tokens/a/b.key",
        "/var/opt/azcmagent/tokens/.key",
    ] {
        let agent = Fake::start(move |_, _| {
            reply(401, "").header("www-authenticate", format!("Basic realm={realm}"))
        });
        let url = format!("{}/metadata/identity/oauth2/token", agent.origin);
        let error = used(&source(&[
            ("IDENTITY_ENDPOINT", &url),
            ("IMDS_ENDPOINT", "x"),
        ]))
        .unwrap_err();
        assert!(error.message().contains("no key of Arc"), "{error}");
        assert_eq!(agent.count(), 1);
    }
    let agent = Fake::start(|_, _| {
        reply(401, "").header(
            "www-authenticate",
            "Basic realm=/var/opt/azcmagent/tokens/ab12.key",
        )
    });
    let url = format!("{}/metadata/identity/oauth2/token", agent.origin);
    let error = used(&source(&[
        ("IDENTITY_ENDPOINT", &url),
        ("IMDS_ENDPOINT", "x"),
    ]))
    .unwrap_err();
    assert!(
        error
            .message()
            .contains("/var/opt/azcmagent/tokens/ab12.key"),
        "{error}"
    );
}

#[test]
fn what_managed_identity_says_is_told_apart() {
    for (status, body, code) in [
        (
            400,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
            "credentials_missing",
        ),
        (
            403,
            "A socket operation was attempted to an unreachable network",
            "credentials_missing",
        ),
        (
            400,
            r#"{"error":"invalid_resource","error_description":"AADSTS500011"}"#,
            "credentials_refused",
        ),
    ] {
        let server = Fake::start(move |_, _| reply(status, body));
        let error = used(&source(&[(
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            &server.origin,
        )]))
        .unwrap_err();
        assert_eq!(error.code(), Some(code), "{error}");
    }
}

#[test]
fn without_the_az_program_the_error_names_it() {
    if std::process::Command::new("az").output().is_ok() {
        return;
    }
    let error = used(&environment(&[]).azure_cli(Environment::azure_scope("x.openai.azure.com")))
        .unwrap_err();
    assert_eq!(error.code(), Some("credentials_missing"));
    assert!(error.message().contains("`az`"), "{error}");
}
