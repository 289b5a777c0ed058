//! Which proxy a request goes through, and what is said to it.

use crate::{
    connect::{TargetAddress, failed},
    socket::Stream,
};
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
    place: &TargetAddress,
) -> Result<(), TransportError> {
    let failed = |cause| failed(place, &cause, error::connect);
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
