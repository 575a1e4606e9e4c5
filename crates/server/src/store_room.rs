//! What the broker does when the disk of its store fills up, and when it has room again.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use noctule_broker::Shared;
use noctule_storage::{FjallStore, SpaceChange, Watched, WatchedStore};

use crate::Notice;
use crate::error::StartError;
use crate::log::Log;

/// The same store, watched.
pub(crate) fn watch(
    store: FjallStore,
    directory: &Path,
    shared: &Arc<Shared>,
    log: &Log,
    notify: Sender<Notice>,
) -> Result<WatchedStore, StartError> {
    let health = store.health();
    let (shared, log, path) = (Arc::clone(shared), log.clone(), directory.to_owned());
    let report = move |watched| match watched {
        Watched::Space(change) => {
            match change {
                SpaceChange::Low { .. } => shared.set_store_low(true),
                SpaceChange::Enough { .. } => shared.set_store_low(false),
                SpaceChange::ReserveGivenUp { .. } => {}
            }
            tell(change, &path, &log);
        }
        // Nobody listens any more when the broker was dropped.
        Watched::Failed(error) => drop(notify.send(Notice::StoreFailed(error))),
    };
    WatchedStore::start(Box::new(store), health, directory, Box::new(report))
        .map_err(StartError::system("look for room for the store"))
}

fn tell(change: SpaceChange, directory: &Path, log: &Log) {
    let directory = directory.display();
    let megabytes = |bytes: u64| bytes / 1_000_000;
    match change {
        SpaceChange::Low { room, watermark } => log.warning(format!(
            "Warning: The disk of {directory} is nearly full: {} of {} MB are free, less than {}. What would have to be kept \
             is refused; what is kept already is safe, and is delivered. Make room there.",
            megabytes(room.free),
            megabytes(room.total),
            megabytes(watermark)
        )),
        SpaceChange::Enough { room } => log.notice(format!(
            "The disk of {directory} has room again: {} MB are free. Nothing is refused for want of it any more.",
            megabytes(room.free)
        )),
        SpaceChange::ReserveGivenUp { bytes } => log.warning(format!(
            "Warning: The disk of {directory} is full. Its reserve of {} MB was given up, so that what was accepted can be \
             written.",
            megabytes(bytes)
        )),
    }
}
