//! What is retained, read while clients are served already.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::RestoreError;
use crate::message::{Publisher, RetainedMessage};
use crate::record::{ReadError, Record, Rows, Table};
use crate::shared::Shared;

/// What is retained on the disk, on its way into memory.
///
/// It is read a part at a time, by whoever likes and beside the shards, until the [last](LoadedPart::is_last). Behind each
/// part every shard is to get [`Input::RetainedLoaded`](crate::Input::RetainedLoaded). Clients are served
/// meanwhile: a subscription gets what is retained for it as it is read, and what they retain and clear stands against what the
/// disk has.
#[derive(Debug)]
pub struct RetainedLoad {
    /// The key where the next part begins, if there is one.
    from: Option<Vec<u8>>,
    /// Who retained messages, each once.
    publishers: HashSet<Arc<Publisher>>,
}

/// A part of what is retained, as it was read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoadedPart {
    /// How many messages.
    pub messages: u64,
    /// Whether some of them expire, for [`Input::RetainedLoaded`](crate::Input::RetainedLoaded).
    pub some_expire: bool,
    /// Whether that was all.
    pub is_last: bool,
}

impl RetainedLoad {
    /// To be called before anybody is served.
    pub(super) fn begin(shared: &Shared) -> Self {
        shared.retained.begin_loading();
        Self { from: Some(Vec::new()), publishers: HashSet::new() }
    }

    /// Reads the next part, of so many messages at most, but one at least.
    pub fn load_some(
        &mut self,
        messages_max: usize,
        rows: &dyn Rows,
        shared: &Shared,
    ) -> Result<LoadedPart, RestoreError> {
        let mut part = LoadedPart { is_last: true, ..LoadedPart::default() };
        let mut result = Ok(());
        let mut last = None;
        let Some(from) = self.from.take() else { return Ok(part) };
        rows.scan(Table::Retained, &from, &mut |key, value| {
            if part.messages >= messages_max.max(1) as u64 {
                part.is_last = false;
                self.from = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            match Record::decode(Table::Retained, key, value) {
                Ok(Record::Retained { message, publisher }) => {
                    part.messages += 1;
                    part.some_expire |= message.expires().is_some();
                    last = Some(message.clone());
                    let publisher = self.publisher(publisher);
                    shared.retained.load(RetainedMessage { message, publisher });
                    ControlFlow::Continue(())
                }
                Ok(_) => ControlFlow::Continue(()),
                Err(error) => {
                    result = Err(ReadError::from(error));
                    ControlFlow::Break(())
                }
            }
        })
        .map_err(ReadError::from)?;
        result?;
        match last {
            Some(last) if !part.is_last => shared.retained.loaded_to(last.topic()),
            _ => shared.retained.end_loading(),
        }
        Ok(part)
    }

    fn publisher(&mut self, publisher: Publisher) -> Arc<Publisher> {
        if let Some(known) = self.publishers.get(&publisher) {
            return Arc::clone(known);
        }
        let publisher = Arc::new(publisher);
        self.publishers.insert(Arc::clone(&publisher));
        publisher
    }
}
