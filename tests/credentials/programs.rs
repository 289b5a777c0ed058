//! Vendors' programs that print tokens. The test is the driver that runs them.

use super::{
    fake::environment,
    manual_driver::{Call, once, request},
};
use bytes::Bytes;
use std::{io, sync::Arc};
use unifiedai::{
    Error,
    credentials::{Credentials, ProcessCommand, Supply},
    provider::{Auth, OpenAiChat},
    sans_io::{Input, Step},
};

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

fn call(credentials: Credentials) -> Call {
    let auth = Auth::Bearer(credentials.into());
    let provider = OpenAiChat::custom("https://llm.test/v1").auth(auth);
    Call::new(Arc::new(provider.build().unwrap()), request(false), once())
}

/// The program that the call runs, with its arguments.
fn words(call: &mut Call) -> Vec<String> {
    match call.step() {
        Step::Supply {
            supply:
                Supply::RunProcess {
                    command: ProcessCommand::Program(words),
                    directory,
                    ..
                },
            ..
        } => {
            assert!(directory.is_some() || cfg!(windows));
            words
        }
        step => panic!("{step:?}"),
    }
}

fn printed(call: &mut Call, text: &'static str) -> String {
    call.handle(Input::Supplied(Ok(Bytes::from(text))));
    let (request, _) = call.send();
    request.headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned()
}

fn failed(call: &mut Call, kind: io::ErrorKind, text: &str) {
    call.handle(Input::Supplied(Err(io::Error::new(kind, text.to_owned()))));
}

fn error(mut call: Call, kind: io::ErrorKind, text: &str) -> Error {
    failed(&mut call, kind, text);
    call.error()
}

#[cfg(unix)]
#[test]
fn az_azd_and_gcloud_are_run_as_their_vendors_libraries_run_them() {
    let tenant = environment(&[("AZURE_TENANT_ID", "tenant.example")]);
    let mut az = call(tenant.azure_cli(SCOPE));
    assert_eq!(
        words(&mut az).join(" "),
        "az account get-access-token --output json --resource https://cognitiveservices.azure.com --tenant tenant.example"
    );
    let text = r#"{"accessToken":"az-token","expires_on":4102444800,"tokenType":"Bearer"}"#;
    assert_eq!(printed(&mut az, text), "Bearer az-token");

    let mut azd = call(tenant.azure_developer_cli(SCOPE));
    assert_eq!(
        words(&mut azd).join(" "),
        format!(
            "azd auth token --output json --no-prompt --scope {SCOPE} --tenant-id tenant.example"
        )
    );
    let text = r#"{"token":"azd-token","expiresOn":"2099-11-29T13:00:00Z"}"#;
    assert_eq!(printed(&mut azd, text), "Bearer azd-token");

    let mut gcloud = call(environment(&[]).google_cli());
    assert_eq!(
        words(&mut gcloud).join(" "),
        "gcloud auth print-access-token"
    );
    assert_eq!(printed(&mut gcloud, "ya29.user\n"), "Bearer ya29.user");
}

#[cfg(unix)]
#[test]
fn azd_is_run_for_a_developer_without_az() {
    let dev = environment(&[("AZURE_TOKEN_CREDENTIALS", "dev")]);
    let mut either = call(dev.azure(SCOPE));
    assert_eq!(words(&mut either)[0], "az");
    failed(&mut either, io::ErrorKind::NotFound, "no such file");
    assert_eq!(words(&mut either)[0], "azd");
    let error = error(either, io::ErrorKind::NotFound, "no such file");
    assert_eq!(error.code(), Some("credentials_missing"));
    assert!(error.message().contains("`az` nor `azd`"), "{error}");
    // A user of `az` who is logged out is not asked for as a user of `azd`.
    let mut either = call(dev.azure(SCOPE));
    words(&mut either);
    failed(&mut either, io::ErrorKind::Other, "Please run 'az login'");
    assert_eq!(either.error().code(), Some("credentials_login"));
}

#[test]
fn a_program_that_fails_says_why() {
    for (credentials, kind, text, code, what) in [
        (
            environment(&[]).azure_developer_cli(SCOPE),
            io::ErrorKind::Other,
            "ERROR: not logged in, run `azd auth login` to login",
            "credentials_login",
            "azd auth login",
        ),
        (
            environment(&[]).google_cli(),
            io::ErrorKind::Other,
            "Please run:\n  $ gcloud auth login",
            "credentials_login",
            "gcloud auth login",
        ),
        (
            environment(&[]).google_cli(),
            io::ErrorKind::Unsupported,
            "",
            "credentials_config",
            "runs no processes",
        ),
        (
            environment(&[]).azure_cli(SCOPE),
            io::ErrorKind::Other,
            "exit status: 1: something",
            "credentials_refused",
            "something",
        ),
    ] {
        let mut call = call(credentials);
        words(&mut call);
        let error = error(call, kind, text);
        assert_eq!(error.code(), Some(code), "{error}");
        assert!(error.message().contains(what), "{error}");
    }
    // What a shell might take for something else is not passed on.
    let tenant = environment(&[("AZURE_TENANT_ID", "t&calc.exe")]);
    let error = call(tenant.azure_cli(SCOPE)).error();
    assert_eq!(error.code(), Some("credentials_config"));
    for (credentials, text) in [
        (environment(&[]).azure_cli(SCOPE), "no json"),
        (
            environment(&[]).azure_developer_cli(SCOPE),
            r#"{"token":"t","expiresOn":"soon"}"#,
        ),
        (environment(&[]).google_cli(), " \n"),
    ] {
        let mut call = call(credentials);
        words(&mut call);
        call.handle(Input::Supplied(Ok(Bytes::from(text))));
        assert_eq!(call.error().code(), Some("credentials_config"));
    }
}
