//! One connection to the server, opened again when it broke.

use crate::FleetError;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{
    Client, Config, NoTls, Row, Statement,
    config::{Host, SslMode},
    types::ToSql,
};
use tokio_postgres_rustls::MakeRustlsConnect;

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection that is opened at its first use, and again after a failure.
pub(super) struct Link {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    session: Mutex<Option<Arc<Session>>>,
}

struct Session {
    client: Client,
    prepared: Mutex<HashMap<&'static str, Statement>>,
}

/// What each session sets: an operation that hangs must not hold locks for ever.
const SETTINGS: &str = "set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '5s'; \
     set lock_timeout = '20s'; set timezone = 'UTC'; set plan_cache_mode = 'force_generic_plan'";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Link {
    pub(super) fn new(url: &str, root_certificates: Option<&str>) -> Result<Self, FleetError> {
        let mut config: Config = url.parse().map_err(|e| {
            // The error's own text names the part of the URL, never its value.
            FleetError::Refused(format!(
                "the database URL cannot be read: {e}. It has the form postgres://USER:PASSWORD@HOST:PORT/NAME"
            ))
        })?;
        config.application_name("fleet");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(Duration::from_secs(30));
        let is_local = config.get_hosts().iter().all(is_local);
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            // The default of the client is to try without verification; here it is to verify, or not to encrypt at all.
            SslMode::Prefer if is_local => None,
            _ => {
                config.ssl_mode(SslMode::Require);
                Some(tls(root_certificates)?)
            }
        };
        if tls.is_none() {
            config.ssl_mode(SslMode::Disable);
        }
        Ok(Link {
            config,
            tls,
            session: Mutex::new(None),
        })
    }

    pub(super) async fn one(
        &self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Row, FleetError> {
        let rows = self.all(sql, params).await?;
        let row = rows.into_iter().next();
        row.ok_or_else(|| FleetError::Database(format!("`{sql}` gave no row")))
    }

    pub(super) async fn execute(
        &self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<(), FleetError> {
        self.all(sql, params).await.map(|_| ())
    }

    pub(super) async fn all(
        &self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, FleetError> {
        let session = self.session().await?;
        let statement = session.prepared(sql).await?;
        Ok(session.client.query(&statement, params).await?)
    }

    /// Runs several statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), FleetError> {
        Ok(self.session().await?.client.batch_execute(sql).await?)
    }

    async fn session(&self) -> Result<Arc<Session>, FleetError> {
        let mut held: MutexGuard<'_, Option<Arc<Session>>> = self.session.lock().await;
        if let Some(session) = held.as_ref().filter(|session| !session.client.is_closed()) {
            return Ok(session.clone());
        }
        let client = self.open().await?;
        client.batch_execute(SETTINGS).await?;
        let session = Arc::new(Session {
            client,
            prepared: Mutex::default(),
        });
        *held = Some(session.clone());
        Ok(session)
    }

    async fn open(&self) -> Result<Client, FleetError> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::spawn(connection);
                Ok(client)
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    }
}

impl Session {
    async fn prepared(&self, sql: &'static str) -> Result<Statement, FleetError> {
        let mut prepared = self.prepared.lock().await;
        if let Some(statement) = prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration holds the password.
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        #[allow(
            unreachable_patterns,
            reason = "the other variant exists on Unix alone"
        )]
        _ => true,
    }
}

fn tls(root_certificates: Option<&str>) -> Result<MakeRustlsConnect, FleetError> {
    let mut roots = RootCertStore::empty();
    match root_certificates {
        Some(path) => {
            use rustls::pki_types::pem::PemObject;
            let refuse = |e: &dyn fmt::Display| {
                FleetError::File(format!(
                    "the root certificates in {path} cannot be read: {e}"
                ))
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|e| refuse(&e))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|e| refuse(&e))?;
                roots.add(certificate).map_err(|e| refuse(&e))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| FleetError::Refused(format!("TLS cannot be set up: {e}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

impl From<tokio_postgres::Error> for FleetError {
    fn from(error: tokio_postgres::Error) -> Self {
        use std::error::Error as _;
        let Some(db) = error.as_db_error() else {
            let mut what = error.to_string();
            if let Some(source) = error.source() {
                what = format!("{what}: {source}");
            }
            // What never reached a statement: the socket broke, or the server is not there.
            let is_io = error.is_closed()
                || error
                    .source()
                    .is_some_and(|source| source.is::<std::io::Error>())
                || what.contains("connect");
            return if is_io {
                FleetError::Unavailable(what)
            } else {
                FleetError::Database(what)
            };
        };
        match db.code().code() {
            "FL002" => FleetError::LeaseLost,
            "FL003" => FleetError::Refused(db.message().to_owned()),
            // Connection failures, the server's shutdown and start, too many connections, deadlocks, serialisation, timeouts.
            code if ["08", "53", "57", "40"]
                .iter()
                .any(|class| code.starts_with(class))
                || code == "55P03"
                || code == "25P03" =>
            {
                FleetError::Unavailable(format!("{} ({code})", db.message()))
            }
            code => FleetError::Database(format!("{} ({code})", db.message())),
        }
    }
}
