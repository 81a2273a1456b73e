//! Counting the uses of placeholders anew at a start: the journal has the truth, the rows are a copy.

use super::open::of_store;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use cloakroom_model::{EventKind, SecurityEvent};
use cloakroom_store::journal::Journal;
use cloakroom_store::{Events, Recounted, Store, Uses};
use std::sync::Arc;

/// What the journal adds up to, before anything is appended to it.
pub(super) async fn recount(
    data: &DataDir,
    journal: &Journal,
    store: &dyn Store,
) -> Result<Recounted, Failure> {
    let rows = store.load().await.map_err(of_store)?;
    let books = store.books().await.map_err(of_store)?;
    let (last, _) = journal.head()?;
    Ok(cloakroom_store::recount(&data.journal(), last, books, &rows.placeholders)?)
}

/// Says what did not agree, and brings the rows up to date: from here on they do.
pub(super) async fn begin(
    recounted: Recounted,
    journal: &Arc<Journal>,
    store: &dyn Store,
    events: &Events,
) -> Result<Arc<Uses>, Failure> {
    for disagreement in &recounted.disagreements {
        tracing::error!(%disagreement, "the store and the journal disagree about uses; the higher count holds");
        let event = SecurityEvent::new(EventKind::RecordsDisagree);
        events.raise(event.with(|event| event.placeholder = disagreement.placeholder()));
    }
    let uses = Uses::new(Arc::clone(journal), recounted);
    uses.copy_to(store).await.map_err(|error| Failure::failed(error.to_string()))?;
    Ok(uses)
}
