//! Tokens of OpenAI, Anthropic and OpenRouter for those of another identity provider.

use super::{
    fake::{Fake, Folder, environment, reply, used},
    manual_driver::WHOLE,
};
use unifiedai::{
    ChatRequest, Client, Secret,
    credentials::{Credentials, Federation, SubjectToken, Token, TokenEndpoint},
    provider::{Anthropic, Auth},
    transport::UreqTransport,
};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn openai_takes_a_token_of_another_source() {
    let server = Fake::start(|asked, _| {
        assert_eq!(asked.header("content-type"), Some("application/json"));
        let expected = r#"{"grant_type":"urn:ietf:params:oauth:grant-type:token-exchange","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","subject_token":"the.jwt","identity_provider_id":"idp_example","service_account_id":"svc_example"}"#;
        assert_eq!(json(&asked.body), json(expected));
        reply(
            200,
            r#"{"access_token":"openai-token","issued_token_type":"x","token_type":"Bearer","expires_in":3600}"#,
        )
    });
    let other = Credentials::from_fn("other", || Ok(Token::bearer(Secret::new("the.jwt")?)));
    let federation = Federation::openai("idp_example", "svc_example", SubjectToken::From(other));
    let source = federation
        .url(format!("{}/oauth/token", server.origin))
        .credentials();
    assert_eq!(used(&source).unwrap().0, "openai-token");
}

#[test]
fn openrouter_wants_a_form() {
    let server = Fake::start(|asked, _| {
        assert_eq!(
            asked.body,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&federation_policy_id=policy&subject_token=the.jwt"
        );
        reply(200, r#"{"access_token":"or-token","expires_in":900}"#)
    });
    let subject = SubjectToken::Text(Secret::new("the.jwt").unwrap());
    let federation = Federation::openrouter("policy", subject).url(server.origin.clone());
    assert_eq!(used(&federation.credentials()).unwrap().0, "or-token");
}

#[test]
fn anthropic_is_told_of_its_beta_and_gets_no_key() {
    let server = Fake::start(|asked, _| match &*asked.path {
        "/v1/oauth/token" => {
            assert_eq!(
                asked.header("anthropic-beta"),
                Some("oauth-2025-04-20,oidc-federation-2026-04-01")
            );
            let expected = r#"{"grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","assertion":"the.jwt","federation_rule_id":"fdrl_example","organization_id":"org","service_account_id":"svac_example","workspace_id":"wrkspc_example"}"#;
            assert_eq!(json(&asked.body), json(expected));
            reply(
                200,
                r#"{"access_token":"sk-ant-oat01-EXAMPLE","token_type":"bearer","expires_in":3600}"#,
            )
        }
        _ => {
            assert_eq!(
                asked.header("authorization"),
                Some("Bearer sk-ant-oat01-EXAMPLE")
            );
            assert_eq!(asked.header("x-api-key"), None);
            let beta = asked.header("anthropic-beta").unwrap();
            assert_eq!(beta, "mine-2026-01-01,oauth-2025-04-20");
            reply(200, r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#)
                .header("content-type", "application/json")
        }
    });
    let folder = Folder::new(&[("token", "the.jwt\n")]);
    let credentials = environment(&[
        ("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_example"),
        ("ANTHROPIC_ORGANIZATION_ID", "org"),
        ("ANTHROPIC_IDENTITY_TOKEN_FILE", &folder.path("token")),
        ("ANTHROPIC_SERVICE_ACCOUNT_ID", "svac_example"),
        ("ANTHROPIC_WORKSPACE_ID", "wrkspc_example"),
        ("ANTHROPIC_BASE_URL", &server.origin),
    ])
    .anthropic_federation()
    .unwrap()
    .unwrap();
    let provider = Anthropic::builder()
        .base_url(server.origin.clone())
        .header("anthropic-beta", "mine-2026-01-01")
        .unwrap()
        .auth(Auth::Bearer(credentials.into()));
    let client = Client::new(UreqTransport::new(), provider.build().unwrap());
    let response = client
        .chat(ChatRequest::new("m").user("hi").max_tokens(5))
        .unwrap();
    assert_eq!(response.text(), "hello");
}

#[test]
fn a_file_that_was_replaced_is_read_again_and_a_refusal_is_final() {
    let folder = Folder::new(&[("token", "canary-old.jwt")]);
    let (file, path) = (folder.path("token"), folder.path("token"));
    let server = Fake::start(
        move |asked, _| match asked.body.contains("canary-old.jwt") {
            true => {
                std::fs::write(&path, "canary-new.jwt").unwrap();
                reply(
                    401,
                    r#"{"error":"invalid_grant","error_description":"canary-old.jwt has expired"}"#,
                )
            }
            false => reply(
                401,
                r#"{"error":"invalid_grant","error_description":"canary-new.jwt does not match"}"#,
            ),
        },
    );
    let federation = Federation::anthropic("rule", "org", SubjectToken::File(file.into()));
    let source = federation.url(server.origin.clone()).credentials();
    let error = used(&source).unwrap_err();
    assert_eq!(server.count(), 2);
    assert_eq!(error.code(), Some("credentials_refused"));
    assert!(error.message().contains("does not match"), "{error}");
    assert!(error.message().contains("Workload identity"), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    let _ = WHOLE;
}

/// A server of Anthropic that accepts tokens which begin with `sk-ant-oat01-`.
fn anthropic(asked: &super::fake::Asked, _: usize) -> super::fake::Reply {
    if asked.path == "/v1/oauth/token" {
        let expected = r#"{"grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","assertion":"the.jwt","federation_rule_id":"fdrl_file","organization_id":"org_env"}"#;
        assert_eq!(json(&asked.body), json(expected));
        return reply(
            200,
            r#"{"access_token":"sk-ant-oat01-federated","expires_in":3600}"#,
        );
    }
    let workspace = asked.header("anthropic-workspace-id").unwrap_or("none");
    assert_eq!(asked.header("anthropic-beta"), Some("oauth-2025-04-20"));
    let bearer = asked.header("authorization").unwrap();
    let token = bearer.strip_prefix("Bearer sk-ant-oat01-").unwrap();
    reply(200, format!(r#"{{"id":"m","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{token} {workspace}"}}],"stop_reason":"end_turn","usage":{{"input_tokens":1,"output_tokens":1}}}}"#))
        .header("content-type", "application/json")
}

#[test]
fn a_profile_of_anthropic_is_a_federation_or_a_stored_login() {
    let server = Fake::start(anthropic);
    let ask = |credentials: unifiedai::credentials::Credentials| {
        let provider = Anthropic::builder()
            .base_url(server.origin.clone())
            .auth(Auth::Bearer(credentials.into()));
        let client = Client::new(UreqTransport::new(), provider.build().unwrap());
        let response = client.chat(ChatRequest::new("m").user("hi").max_tokens(5))?;
        Ok::<_, unifiedai::Error>(response.text().into_owned())
    };
    let federation = format!(
        r#"{{"version":"1.0","base_url":"{}","authentication":{{"type":"oidc_federation","federation_rule_id":"fdrl_file","identity_token":{{"source":"file","path":"~/token"}}}}}}"#,
        server.origin
    );
    let login =
        r#"{"workspace_id":"wrkspc_1","authentication":{"type":"user_oauth","client_id":"c"}}"#;
    let folder = Folder::new(&[
        ("a/configs/ci.json", &federation),
        ("a/configs/me.json", login),
        (
            "a/configs/odd.json",
            r#"{"authentication":{"type":"moon"}}"#,
        ),
        ("token", "the.jwt\n"),
    ]);
    let (home, directory) = (folder.path(""), folder.path("a"));
    let environment = environment(&[
        ("HOME", home.trim_end_matches('/')),
        ("ANTHROPIC_CONFIG_DIR", &directory),
        ("ANTHROPIC_ORGANIZATION_ID", "org_env"),
        // The file counts before the environment.
        ("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_env"),
    ]);
    let profile = |name: &str| ask(environment.anthropic_profile(name).unwrap());
    assert_eq!(profile("ci").unwrap(), "federated none");

    let error = profile("me").unwrap_err();
    assert_eq!(error.code(), Some("credentials_login"));
    assert!(error.message().contains("a/credentials/me.json"), "{error}");
    let stored = |end: u64| {
        let text = format!(
            r#"{{"type":"oauth_token","access_token":"sk-ant-oat01-stored","expires_at":{end},"refresh_token":"canary"}}"#
        );
        folder.write("a/credentials/me.json", &text);
        folder.set_mode("a/credentials/me.json", 0o600);
    };
    stored(4_102_444_800);
    assert_eq!(profile("me").unwrap(), "stored wrkspc_1");
    stored(1_700_000_000);
    let error = profile("me").unwrap_err();
    assert_eq!(error.code(), Some("credentials_login"));
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");

    for (name, what) in [("odd", "`moon`"), ("none", "configs/none.json")] {
        let error = profile(name).unwrap_err();
        assert!(error.message().contains(what), "{error}");
    }
    assert!(environment.anthropic_profile("../ci").is_err());
    #[cfg(unix)]
    {
        stored(4_102_444_800);
        folder.set_mode("a/credentials/me.json", 0o644);
        folder.set_mode("a/configs/ci.json", 0o666);
        for (name, what) in [("me", "chmod 600"), ("ci", "chmod go-w")] {
            let error = profile(name).unwrap_err();
            assert_eq!(error.code(), Some("credentials_config"));
            assert!(error.message().contains(what), "{error}");
        }
    }
}

#[test]
fn client_credentials_and_keys_of_ibm_cloud_become_tokens() {
    let server = Fake::start(|asked, before| {
        let basic = asked.header("authorization");
        match before {
            0 => {
                // `client:canary-secret`
                assert_eq!(basic, Some("Basic Y2xpZW50OmNhbmFyeS1zZWNyZXQ="));
                assert_eq!(asked.body, "grant_type=client_credentials&scope=all-apis");
            }
            1 => {
                assert_eq!(basic, None);
                assert_eq!(
                    asked.body,
                    "grant_type=client_credentials&client_id=client&client_secret=canary-secret"
                );
            }
            2 => assert_eq!(
                asked.body,
                "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=canary-key"
            ),
            _ => {
                let text = r#"{"error":"invalid_client","error_description":"not canary-secret"}"#;
                return reply(401, text);
            }
        }
        reply(
            200,
            format!(r#"{{"access_token":"t{before}","token_type":"Bearer","expires_in":3600}}"#),
        )
    });
    let secret = |text: &str| Secret::new(text).unwrap();
    let client =
        || TokenEndpoint::client_credentials(&server.origin, "client", secret("canary-secret"));
    assert!(!format!("{:?}", client()).contains("canary"));
    let basic = client().scope("all-apis").header(
        http::HeaderName::from_static("ai-resource-group"),
        http::HeaderValue::from_static("default"),
    );
    let (token, headers) = used(&basic.credentials()).unwrap();
    assert_eq!(token, "t0");
    let group = ("ai-resource-group".to_owned(), "default".to_owned());
    assert!(headers.contains(&group));
    assert_eq!(
        used(&client().secret_in_body().credentials()).unwrap().0,
        "t1"
    );
    let ibm = TokenEndpoint::ibm_cloud(secret("canary-key")).url(&server.origin);
    assert_eq!(used(&ibm.credentials()).unwrap().0, "t2");
    let error = used(&client().credentials()).unwrap_err();
    assert_eq!(error.code(), Some("credentials_refused"));
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}
