//! After `101 Switching Protocols` Weir only carries bytes, both ways, holding the request's permit.

use http::Request;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::exchange::Exchange;
use super::upload::Upload;

/// The shopper's side, if the request asks for another protocol.
pub(super) fn requested(request: &mut Request<Upload>) -> Option<OnUpgrade> {
    request.extensions_mut().remove()
}

/// Carries bytes between both sides until one of them ends.
pub(super) fn bridge(shopper: OnUpgrade, server: OnUpgrade, exchange: Exchange) {
    tokio::task::spawn_local(async move {
        let _exchange = exchange;
        // The shopper's side is there once the 101 is written. A side that breaks ends the other one;
        // there is nobody left to tell.
        if let Ok((shopper, server)) = tokio::try_join!(shopper, server) {
            let (mut shopper, mut server) = (TokioIo::new(shopper), TokioIo::new(server));
            drop(tokio::io::copy_bidirectional(&mut shopper, &mut server).await);
        }
    });
}
