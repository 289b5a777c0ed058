use super::common::default_model;
use std::{sync::Arc, time::Duration};
use unifiedai::{
    Error, ErrorKind,
    provider::{self, OpenAiChat, Provider},
};
use unifiedai_loopback::{Config, Loopback, Pace};

/// Who is compared.
pub(crate) struct Targets {
    pub(crate) providers: Vec<Arc<dyn Provider>>,
    /// As `provider.model`.
    pub(crate) models: Vec<String>,
    /// They run as long as this lives.
    _servers: Vec<Loopback>,
}

impl Targets {
    /// The models named; else those of the providers whose keys are there; else two on loopback.
    pub(crate) fn new(models: &[String]) -> Result<Self, Error> {
        if !models.is_empty() {
            return Targets::named(models);
        }
        let mut found = Vec::new();
        for name in ["cerebras", "bedrock"] {
            match provider::from_env(name, None) {
                Ok(_) => found.push(format!("{name}.{}", default_model(name))),
                Err(error) if error.code() == Some("missing_key") => {}
                Err(error) => return Err(error),
            }
        }
        if found.len() < 2 {
            return Targets::on_loopback();
        }
        Targets::named(&found)
    }

    fn named(models: &[String]) -> Result<Self, Error> {
        let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
        for model in models {
            let (name, _) = model
                .split_once('.')
                .ok_or_else(super::arguments::no_models)?;
            if !providers.iter().any(|provider| provider.name() == name) {
                providers.push(provider::from_env(name, None)?);
            }
        }
        Ok(Targets {
            providers,
            models: models.to_vec(),
            _servers: Vec::new(),
        })
    }

    fn on_loopback() -> Result<Self, Error> {
        eprintln!(
            "Without the keys of two providers (CEREBRAS_API_KEY, AWS_ACCESS_KEY_ID, ...) this compares two providers on \
             loopback, a fast and a slow one."
        );
        let mut entrants = Targets {
            providers: Vec::new(),
            models: Vec::new(),
            _servers: Vec::new(),
        };
        for (name, first, each) in [("fast", 30, 4), ("slow", 220, 18)] {
            let config = Config {
                pace: Pace {
                    first: Duration::from_millis(first),
                    each: Duration::from_millis(each),
                    coalesce: 1,
                },
                ..Config::default()
            };
            let server = Loopback::start(config).map_err(|e| {
                Error::new(ErrorKind::Connection, format!("no server on loopback: {e}"))
            })?;
            let provider = OpenAiChat::custom(server.base_url()).name(name).build()?;
            entrants.providers.push(Arc::new(provider));
            entrants.models.push(format!("{name}.gpt-oss-120b"));
            entrants._servers.push(server);
        }
        Ok(entrants)
    }
}
