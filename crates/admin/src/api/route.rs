//! One route of the table: method, path, who may call it, what it is for, and the handler with all that its signature says.

use super::operation::{Operation, Shape};
use crate::admin::Admin;
use crate::identity::Access;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use std::sync::Arc;

/// A route.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// What it is for, as the document says it.
    pub(crate) says: &'static str,
    /// Whether it makes something that a second request would make again: it takes an `Idempotency-Key`.
    pub(crate) creates: bool,
    pub(crate) shape: Shape,
    pub(crate) handler: MethodRouter<Arc<Admin>>,
}

impl Route {
    /// It makes something each time.
    fn creating(self) -> Self {
        Self { creates: true, ..self }
    }
}

/// `GET`.
pub(crate) fn get<H, T, A>(path: &'static str, access: Access, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>> + Operation<A>,
    T: 'static,
{
    let (shape, handler) = (H::shape(), routing::get(handler));
    Route { method: "GET", path, access, says, creates: false, shape, handler }
}

/// `POST`, for what changes something that there is.
pub(crate) fn post<H, T, A>(path: &'static str, access: Access, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>> + Operation<A>,
    T: 'static,
{
    let (shape, handler) = (H::shape(), routing::post(handler));
    Route { method: "POST", path, access, says, creates: false, shape, handler }
}

/// `POST`, for what makes something.
pub(crate) fn create<H, T, A>(path: &'static str, access: Access, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>> + Operation<A>,
    T: 'static,
{
    post(path, access, says, handler).creating()
}

/// `DELETE`.
pub(crate) fn delete<H, T, A>(path: &'static str, access: Access, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>> + Operation<A>,
    T: 'static,
{
    let (shape, handler) = (H::shape(), routing::delete(handler));
    Route { method: "DELETE", path, access, says, creates: false, shape, handler }
}
