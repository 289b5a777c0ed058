//! Whatever a server says, no secret that a source holds is in its error, and none goes to the provider.

use super::fake::{Asked, Fake, Folder, environment, reply, used};
use unifiedai::{
    Secret,
    credentials::{Credentials, Federation, SubjectToken},
};

const CANARY: &str = "c4n4rybird-3141592653";

/// Repeats all that it got, in every member in which a server says why it refuses.
fn echo(asked: &Asked, _: usize) -> super::fake::Reply {
    let heard = format!("{} {:?} {}", asked.path, asked.headers, asked.body);
    let heard = heard.replace("%2D", "-");
    let text = serde_json::json!({
        "error": heard, "error_description": heard, "message": heard, "code": heard, "Message": heard,
    });
    match asked
        .header("authorization")
        .is_some_and(|value| value.starts_with("AWS4"))
        || asked.body.contains("Action=")
    {
        true => reply(
            400,
            format!(
                "<ErrorResponse><Error><Code>X</Code><Message>{heard}</Message></Error></ErrorResponse>"
            ),
        ),
        false => reply(400, text.to_string()),
    }
}

#[test]
fn an_echo_of_a_request_shows_no_secret() {
    let server = Fake::start(echo);
    let google = |kind: &str| {
        format!(
            r#"{{"type":"{kind}","client_id":"i","client_secret":"{CANARY}","refresh_token":"{CANARY}","token_uri":"{0}/t","token_url":"{0}/t","audience":"a","subject_token_type":"t","credential_source":{{"url":"{0}/s","headers":{{"x-k":"{CANARY}"}}}}}}"#,
            server.origin
        )
    };
    let folder = Folder::new(&[
        ("token", CANARY),
        ("user.json", &google("authorized_user")),
        (
            "workforce.json",
            &google("external_account_authorized_user"),
        ),
        ("external.json", &google("external_account")),
        (
            ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
            &format!(
                r#"{{"accessToken":"{CANARY}","expiresAt":"2026-01-01T00:00:00Z","clientId":"i","clientSecret":"{CANARY}","registrationExpiresAt":"2099-01-01T00:00:00Z","refreshToken":"{CANARY}"}}"#
            ),
        ),
        (
            ".aws/config",
            "[profile sso]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n[sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://corp.example\n",
        ),
    ]);
    let (file, home) = (folder.path("token"), folder.path(""));
    let (user, workforce, external) = (
        folder.path("user.json"),
        folder.path("workforce.json"),
        folder.path("external.json"),
    );
    let base = [
        ("HOME", home.trim_end_matches('/')),
        ("AWS_ENDPOINT_URL", &*server.origin),
        ("AWS_REGION", "eu-west-1"),
        ("AZURE_AUTHORITY_HOST", &server.origin),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
    ];
    let with = |more: &[(&'static str, &str)]| environment(&[&base[..], more].concat());
    let scope = "https://cognitiveservices.azure.com/.default";
    let subject = || SubjectToken::Text(Secret::new(CANARY).unwrap());
    let keys = with(&[
        ("AWS_ACCESS_KEY_ID", "AKIAX"),
        ("AWS_SECRET_ACCESS_KEY", CANARY),
        ("AWS_SESSION_TOKEN", CANARY),
    ]);
    let sources: Vec<Credentials> = vec![
        with(&[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ROLE_ARN", "arn"),
        ])
        .aws(),
        keys.aws_assume_role(&keys.aws(), "arn"),
        with(&[]).aws_profile("sso"),
        with(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server.origin),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", CANARY),
        ])
        .aws_container(),
        with(&[("GOOGLE_APPLICATION_CREDENTIALS", &user)]).google(),
        with(&[("GOOGLE_APPLICATION_CREDENTIALS", &workforce)]).google(),
        with(&[("GOOGLE_APPLICATION_CREDENTIALS", &external)]).google(),
        with(&[("AZURE_CLIENT_SECRET", CANARY)]).azure(scope),
        with(&[("AZURE_FEDERATED_TOKEN_FILE", &file)]).azure(scope),
        with(&[
            ("IDENTITY_ENDPOINT", &server.origin),
            ("IDENTITY_HEADER", CANARY),
        ])
        .azure(scope),
        with(&[("MSI_ENDPOINT", &server.origin), ("MSI_SECRET", CANARY)]).azure(scope),
        Federation::openai("i", "s", subject())
            .url(&*server.origin)
            .credentials(),
        Federation::anthropic("r", "o", subject())
            .url(&*server.origin)
            .credentials(),
        Federation::openrouter("p", subject())
            .url(&*server.origin)
            .credentials(),
    ];
    for source in sources {
        let before = server.count();
        let error = used(&source).unwrap_err();
        assert!(
            server.count() > before,
            "{} asked nothing: {error}",
            source.name()
        );
        let said = format!("{error}\n{error:?}\n{error:#?}\n{source:?}");
        for part in [CANARY, &CANARY[..14], &CANARY[8..]] {
            assert!(
                !said.contains(part),
                "{} shows {part}: {said}",
                source.name()
            );
        }
        assert!(error.message().contains(source.name()), "{error}");
        assert!(error.message().contains("127.0.0.1"), "{error}");
    }
}
