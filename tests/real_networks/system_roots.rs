//! The operating system's roots, selected by `SSL_CERT_FILE` and `SSL_CERT_DIR`. Each case is a process of its own,
//! because they are environment variables.

use super::{
    authority::Authority,
    clients,
    programs::Folder,
    servers::{HELLO, nginx},
};
use std::{env, process::Command};
use unifiedai::transport::{Options, TransportErrorKind};

#[test]
fn a_private_authority_is_trusted_if_the_environment_names_it() {
    let (known, other) = (Authority::new("known"), Authority::new("other"));
    let Some(nginx) = nginx(&known.identity(&["127.0.0.1"]), "") else {
        return;
    };
    let files = Folder::new();
    let known_file = files.write("known.pem", &known.root);
    let other_file = files.write("other.pem", &other.root);
    let directory = Folder::new();
    // The file names that OpenSSL expects in such a directory.
    directory.write("0123abcd.0", &known.root);
    let directory = directory.path().display().to_string();
    for (variable, value, is_trusted) in [
        ("SSL_CERT_FILE", &known_file, "yes"),
        ("SSL_CERT_DIR", &directory, "yes"),
        ("SSL_CERT_FILE", &other_file, "no"),
    ] {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "system_roots::inside"])
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .env(variable, value)
            .env("UNIFIEDAI_TEST_URL", nginx.https("127.0.0.1"))
            .env("UNIFIEDAI_TEST_IS_TRUSTED", is_trusted);
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && printed.contains("1 passed"),
            "{variable}={value}: {printed}"
        );
    }
}

#[test]
#[ignore = "needs the environment that the test above makes"]
fn inside() {
    let url = env::var("UNIFIEDAI_TEST_URL").unwrap();
    let is_trusted = env::var("UNIFIEDAI_TEST_IS_TRUSTED").unwrap() == "yes";
    for (name, fetch) in clients(&Options::new().platform_roots()) {
        let fetched = fetch(&url);
        if is_trusted {
            let fetched = fetched.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(fetched, (200, HELLO.to_owned()), "{name}");
        } else {
            let failure = fetched.unwrap_err();
            assert_eq!(failure.kind(), TransportErrorKind::Tls, "{name}: {failure}");
            assert!(failure.to_string().contains("unknown issuer"), "{failure}");
        }
    }
}
