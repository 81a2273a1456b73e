//! The admin socket: the API, for the broker's own user.

use crate::admin::{Admin, AdminError};
use crate::api;
use crate::listen::{self, Arrived};
use crate::peer::Peer;
use axum::Extension;
use std::future::Future;
use std::sync::Arc;
use tokio::net::UnixListener;

/// Serves the admin API until `shutdown` resolves, then lets running requests finish. The listener's file should be
/// 0600; whoever connects all the same is asked of the kernel.
///
/// # Errors
/// None at present; a listener that fails for good will be one.
pub async fn serve_socket(
    admin: Arc<Admin>,
    listener: UnixListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), AdminError> {
    let router = api::router(admin);
    let accept = || async {
        let (stream, _) = listener.accept().await?;
        let peer = Peer::of(&stream)?;
        Ok(Arrived { stream, router: router.clone().layer(Extension(peer)), from: None })
    };
    listen::serve(accept, shutdown).await;
    Ok(())
}
