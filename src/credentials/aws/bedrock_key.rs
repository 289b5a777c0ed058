//! Short-term API keys of Bedrock: a signed URL as a bearer token.

use crate::{
    Error, Secret,
    credentials::{Token, errors::config},
    provider::Signer,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

const MAX_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The key is valid as long as the keys that it is made of, so it has their expiry.
pub(super) fn token(keys: &Token, region: &str, wall: SystemTime) -> Result<Token, Error> {
    let credentials = keys
        .as_aws()
        .ok_or_else(|| config("a key of Bedrock is made of AWS keys"))?;
    let signer = Signer::new(credentials.clone(), region, "bedrock")?;
    let url = key_url(&signer, wall, MAX_LIFETIME)?;
    let text = ["bedrock-api-key-", &STANDARD.encode(url.as_bytes())].concat();
    let mut token = keys.clone();
    if token.never_ends() {
        token = token.expires_in(MAX_LIFETIME);
    }
    Ok(token.with_bearer(Secret::new(text)?))
}

fn key_url(
    signer: &Signer,
    wall: SystemTime,
    lifetime: Duration,
) -> Result<Zeroizing<String>, Error> {
    let query = signer.presigned_query(
        "bedrock.amazonaws.com",
        "Action=CallWithBearerToken",
        wall,
        lifetime,
    )?;
    Ok(Zeroizing::new(
        ["bedrock.amazonaws.com/?", &query, "&Version=1"].concat(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::AwsCredentials;
    use std::time::UNIX_EPOCH;

    #[test]
    fn the_key_is_that_of_amazons_generator() {
        let wall = UNIX_EPOCH + Duration::from_secs(1_795_953_600);
        let keys = AwsCredentials::new(
            "ASIAEXAMPLEEXAMPLE00",
            "exampleSecretExampleSecretExampleSecret0",
            Some("exampleSessionToken/abc+def==".to_owned()),
        )
        .unwrap();
        let signer = Signer::new(keys, "eu-west-1", "bedrock").unwrap();
        let url = key_url(&signer, wall, Duration::from_secs(3600)).unwrap();
        assert_eq!(
            *url,
            "bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAEXAMPLEEXAMPLE00%2F20261129%2Feu-west-1%2Fbedrock%2Faws4_request&X-Amz-Date=20261129T120000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=exampleSessionToken%2Fabc%2Bdef%3D%3D&X-Amz-Signature=ebdbc475a3a71374d7ff19b0324ef7c409d6b1ca5633d88f86ba72b6c93f93ac&Version=1"
        );
    }
}
