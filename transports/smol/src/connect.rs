//! Name lookup, TCP, a proxy's tunnel, TLS.

use crate::{clock::Timer, proxy::Proxies, stream::Io, tcp::Tcp};
use futures_rustls::TlsConnector;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use unifiedai_pool::{Alarm, Connect, Connected, Target, error};
use unifiedai_transport::{Time, TransportError};

/// The most that an address may take while there are others to try.
const PER_ADDRESS: Duration = Duration::from_secs(2);

/// Makes connections.
pub(crate) struct Connector {
    tls: Arc<ClientConfig>,
    proxies: Proxies,
}

impl Connector {
    pub(crate) fn new(tls: Arc<ClientConfig>) -> Self {
        let proxies = Proxies::from_env();
        Connector { tls, proxies }
    }
}

impl Connect for Connector {
    type Alarm = Timer;

    async fn connect(&self, target: &Target, by: Time) -> Result<Connected, TransportError> {
        let host = &*target.host;
        let failed = |error: io::Error| error::connecting(error, host);
        let tcp = match self.proxies.before(target).map_err(failed)? {
            None => dial(target, by).await?,
            Some(proxy) => {
                let mut tcp = dial(&proxy.address, by).await?;
                proxy.tunnel(&mut tcp, target).await.map_err(failed)?;
                tcp
            }
        };
        if target.tls {
            let name = ServerName::try_from(host.to_owned())
                .map_err(|_| error::unsendable("the host is not a valid server name"))?;
            let handshake = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
            let tls = handshake.await.map_err(failed)?;
            Ok(Connected::Http1(Box::new(Io(tls))))
        } else {
            Ok(Connected::Http1(Box::new(Io(tcp))))
        }
    }
}

async fn dial(target: &Target, by: Time) -> Result<Tcp, TransportError> {
    let host = &*target.host;
    let addresses = lookup(target).await;
    let addresses = addresses.map_err(|error| error::unresolved(error, host))?;
    let tcp = reach(&addresses, by).await;
    tcp.map_err(|error| error::connecting(error, host))
}

async fn lookup(target: &Target) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = target.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, target.port)]);
    }
    let name = (String::from(target.host.clone()), target.port);
    blocking::unblock(move || Ok(name.to_socket_addrs()?.collect())).await
}

/// Tries one address after the other. None but the last may use more than half of the time left.
async fn reach(addresses: &[SocketAddr], by: Time) -> io::Result<Tcp> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let (last, others) = match addresses.split_last() {
        Some(split) => split,
        None => return Err(failure),
    };
    for address in others {
        let now = Timer::now();
        let until = half_way(now, by).min(now.saturating_add(PER_ADDRESS));
        match Timer::default()
            .within(until, pin!(Tcp::connect(*address)))
            .await
        {
            Some(Ok(tcp)) => return Ok(tcp),
            Some(Err(error)) => failure = error,
            None => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Tcp::connect(*last)
        .await
        .map_err(|error| match error.kind() {
            // Of two answers the first one's is the better guess at what is wrong, unless it gave none.
            _ if failure.kind() == io::ErrorKind::ConnectionRefused => failure,
            _ => error,
        })
}

fn half_way(from: Time, to: Time) -> Time {
    Time::from_nanos(from.as_nanos().midpoint(to.as_nanos()))
}
