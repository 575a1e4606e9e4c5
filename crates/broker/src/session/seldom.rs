//! What few sessions have.

use std::sync::Arc;

use crate::message::Publisher;
use crate::moment::Moment;
use crate::rights::ClientRights;
use crate::shard::KeptCursor;
use crate::will::Will;

/// A pointer's room in sessions that have nothing of it: those with a connection, without a Will, that have not retained
/// anything and are allowed everything.
#[derive(Default)]
pub(crate) struct Seldom(Option<Box<Things>>);

#[derive(Default)]
pub(crate) struct Things {
    /// Who its client is, for all that it retains, once it has retained a message.
    pub(crate) retainer: Option<Arc<Publisher>>,
    /// When its connection ended, wall clock.
    pub(crate) disconnected_at: Option<Moment>,
    /// What its expiry timer is armed for.
    pub(crate) ends_at: Option<Moment>,
    pub(crate) will: Option<Box<Will>>,
    /// What its will timer is armed for.
    pub(crate) will_at: Option<Moment>,
    /// What it may do, where that is restricted, once it has done something.
    pub(crate) rights: Option<Box<ClientRights>>,
    /// How far it is with messages for several, once it was done with one before others.
    pub(crate) cursor: Option<Box<KeptCursor>>,
}

impl Things {
    const NONE: &Self = &Self {
        retainer: None,
        disconnected_at: None,
        ends_at: None,
        will: None,
        will_at: None,
        rights: None,
        cursor: None,
    };

    fn is_none(&self) -> bool {
        let Self { retainer, disconnected_at, ends_at, will, will_at, rights, cursor } = self;
        retainer.is_none()
            && disconnected_at.is_none()
            && ends_at.is_none()
            && will.is_none()
            && will_at.is_none()
            && rights.is_none()
            && cursor.is_none()
    }
}

impl Seldom {
    /// What there is.
    pub(crate) fn get(&self) -> &Things {
        self.0.as_deref().unwrap_or(Things::NONE)
    }

    /// What its client may do, as far as that was asked.
    #[inline]
    pub(crate) fn rights(&mut self) -> Option<&mut ClientRights> {
        self.0.as_mut()?.rights.as_deref_mut()
    }

    /// Changes it.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut Things) -> T) -> T {
        let things = self.0.get_or_insert_default();
        let result = change(things);
        if things.is_none() {
            self.0 = None;
        }
        result
    }

    /// Takes something of it away, if there is anything.
    pub(crate) fn take<T>(&mut self, take: impl FnOnce(&mut Things) -> Option<T>) -> Option<T> {
        self.0.is_some().then(|| self.change(take)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nothing_takes_no_memory() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.take(|things| things.will_at.take()), None);
        let moment: Moment = Duration::from_secs(1).into();
        seldom.change(|things| (things.will_at, things.ends_at) = (Some(moment), Some(moment)));
        assert_eq!(seldom.take(|things| things.will_at.take()), Some(moment));
        assert_eq!((seldom.get().will_at, seldom.get().ends_at), (None, Some(moment)));
        assert!(seldom.0.is_some());
        seldom.change(|things| things.ends_at = None);
        assert!(seldom.0.is_none());
    }
}
