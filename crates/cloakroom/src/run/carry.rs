//! Carries connections from one socket to another, unread.

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};

/// Both directions, until both ended. That a side broke off is its own affair: the other is closed.
pub(crate) async fn carry(
    mut one: impl AsyncRead + AsyncWrite + Unpin,
    mut other: impl AsyncRead + AsyncWrite + Unpin,
) {
    let _ = copy_bidirectional(&mut one, &mut other).await;
}
