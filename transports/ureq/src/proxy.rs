//! Which proxy a request goes through, and what is said to it.

use crate::{
    connect::{Place, failed},
    socket::Stream,
};
use http::StatusCode;
use std::sync::Arc;
use unifiedai_http::{error, tunnel::Handshake};
use unifiedai_transport::TransportError;

pub use unifiedai_http::proxy::*;

/// Asks a proxy, which errors call `place`, for a connection to a host and port.
pub(crate) fn tunnel(
    stream: &mut dyn Stream,
    proxy: &Arc<Proxy>,
    host: &str,
    port: u16,
    place: &Place,
) -> Result<(), TransportError> {
    let failed = |cause| failed(place, &cause, error::connecting);
    let mut handshake = Handshake::new(Arc::clone(proxy), host, port);
    let mut buffer = [0; 1024];
    loop {
        stream.write_all(&handshake.output()).map_err(failed)?;
        let read = stream.read(&mut buffer).map_err(failed)?;
        if handshake.input(buffer.get(..read).unwrap_or_default())? {
            return Ok(());
        }
    }
}

/// What a request that goes to a proxy has before its path.
pub(crate) fn absolute(target: &Place) -> Box<str> {
    match target.port {
        80 => format!("http://{}", target.host).into(),
        _ => format!("http://{}", target.name).into(),
    }
}

/// Only a proxy answers with status 407.
pub(crate) fn check(
    proxy: Option<&Arc<Proxy>>,
    status: StatusCode,
    place: &str,
) -> Result<(), TransportError> {
    match proxy {
        Some(proxy) if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(proxy.wants_credentials(place))
        }
        _ => Ok(()),
    }
}
