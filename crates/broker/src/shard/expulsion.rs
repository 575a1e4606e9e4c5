//! After the settings changed, clients that could not come in any more are sent away, a part of the connections a turn.

use std::collections::VecDeque;
use std::sync::Arc;

use super::connection::{Said, Stage};
use super::ending::Ending;
use super::{Shard, Turn};
use crate::settings::{ListenerSettings, Revoked, Settings};

/// Connections that are looked at in one turn.
const LOOKS: usize = 1024;
/// Connections that are closed in one turn: each may publish a will.
const CLOSINGS: usize = 64;

/// Walks through the connections, one behind the other.
#[derive(Default)]
pub(super) struct Expulsions {
    /// How many were begun. Connections bear whether that was odd when they were opened, or when the last walk came to
    /// them: the others are to be looked at.
    begun: u32,
    walks: VecDeque<Walk>,
}

struct Walk {
    /// Whose listeners say whose Password does not hold any more.
    settings: Arc<Settings>,
    /// What connections bear behind it.
    is_odd: bool,
    next: usize,
}

impl Expulsions {
    /// What connections bear that are opened now.
    pub(super) fn is_odd(&self) -> bool {
        self.begun % 2 == 1
    }

    /// Whether a walk is under way.
    pub(super) fn are_under_way(&self) -> bool {
        !self.walks.is_empty()
    }
}

impl Shard {
    /// The settings are new: begins a walk if somebody could have to go.
    pub(super) fn begin_expulsion(&mut self, old: &Settings) {
        let mut both = self.settings.listeners.iter().zip(&old.listeners);
        if both.any(|(new, old)| may_expel(new, old)) {
            self.expulsions.begun = self.expulsions.begun.wrapping_add(1);
            let is_odd = self.expulsions.is_odd();
            self.expulsions.walks.push_back(Walk { settings: Arc::clone(&self.settings), is_odd, next: 0 });
        }
    }

    /// Goes on with the walk under way.
    pub(super) fn go_on_expelling(&mut self, turn: &mut Turn<'_>) {
        let Some(walk) = self.expulsions.walks.front_mut() else { return };
        let settings = Arc::clone(&walk.settings);
        let (is_odd, from) = (walk.is_odd, walk.next);
        let end = self.connections.len().min(from + LOOKS);
        let mut closed = 0;
        let mut next = from;
        while next < end && closed < CLOSINGS {
            if self.may_not_stay(next, &settings, is_odd)
                && let Some(key) = self.connections[next].as_ref().map(|connection| connection.key)
            {
                self.close(key, Ending::NotAllowedAnyMore, turn);
                closed += 1;
            }
            next += 1;
        }
        if next >= self.connections.len() {
            self.expulsions.walks.pop_front();
        } else if let Some(walk) = self.expulsions.walks.front_mut() {
            walk.next = next;
        }
    }

    /// Looks at one connection.
    fn may_not_stay(&mut self, index: usize, settings: &Settings, is_odd: bool) -> bool {
        let Some(connection) = self.connections[index].as_deref_mut() else { return false };
        if connection.said.contains(Said::ODD_SETTINGS) == is_odd {
            return false;
        }
        connection.said.set(Said::ODD_SETTINGS, is_odd);
        if let Stage::Checked { .. } = connection.stage {
            // By what held before: its CONNECT is looked at anew.
            connection.stage = Stage::AwaitingConnect;
        }
        let listener = settings.listeners.get(usize::from(connection.listener.0));
        let (Some(slot), Some(listener)) = (connection.slot(), listener) else { return false };
        let Some(session) = self.session(slot) else { return false };
        !listener.lets_stay(session.publisher.user_name.as_deref())
    }
}

impl ListenerSettings {
    /// Whether somebody with this User Name who is connected could come in now.
    fn lets_stay(&self, user_name: Option<&str>) -> bool {
        match (user_name, self.authenticates) {
            (None, _) | (_, false) => self.allow_anonymous,
            (Some(name), true) => match &self.revoked {
                Revoked::Nobody => true,
                Revoked::Users(names) => !names.contains(name),
                Revoked::Everybody => false,
            },
        }
    }
}

/// Whether there can be clients that came in by the old settings and could not by the new ones.
fn may_expel(new: &ListenerSettings, old: &ListenerSettings) -> bool {
    let takes_fewer = old.allow_anonymous && !new.allow_anonymous;
    let forgets_users = old.authenticates && !new.authenticates && !new.allow_anonymous;
    takes_fewer || forgets_users || new.authenticates && new.revoked != Revoked::Nobody
}
