//! One process: its shards, and what they have in common.

use std::time::Duration;

use noctule_broker::Input;

use super::{Around, Commons, Host, Step};
use crate::context::Context;
use crate::disk::Disk;
use crate::network::LinkNumber;

pub(super) struct Process {
    pub(super) hosts: Vec<Host>,
    pub(super) commons: Commons,
}

impl Process {
    /// Tells the shard that has this link; a new one is dealt to any.
    pub(super) fn look(&mut self, link: LinkNumber, context: &mut Context) {
        let shards = self.hosts.len();
        let shard = *self.commons.links.entry(link).or_insert_with(|| context.random.below(shards));
        self.hosts[shard].look(link);
        let after = context.random.time(Duration::ZERO..=Duration::from_micros(300));
        self.commons.plan_turn(shard, after, context);
    }

    /// Ends in order: wills, and when they have arrived everywhere, the connections.
    pub(super) fn end(&mut self, disk: &mut Disk, context: &mut Context) -> Step {
        self.finish(disk, context)?;
        self.tell_all(|| Input::PublishWills, disk, context);
        self.finish(disk, context)?;
        self.tell_all(|| Input::Shutdown, disk, context);
        // Nobody reads mail any more, but what is to be stored is.
        let Self { hosts, commons } = self;
        for host in hosts {
            host.settle(&mut Around { commons, countdown: &mut None, disk, context })?;
        }
        Ok(())
    }

    fn tell_all(&mut self, input: fn() -> Input<'static>, disk: &mut Disk, context: &mut Context) {
        let Self { hosts, commons } = self;
        for host in hosts {
            host.handle(input(), &mut Around { commons, countdown: &mut None, disk, context });
        }
    }

    /// Takes turns until no shard has anything for another.
    fn finish(&mut self, disk: &mut Disk, context: &mut Context) -> Step {
        let Self { hosts, commons } = self;
        loop {
            let mut busy = false;
            for (index, host) in hosts.iter_mut().enumerate() {
                host.turn_whole(&mut Around { commons, countdown: &mut None, disk, context })?;
                busy |= host.has_work() || !commons.mailboxes[index].is_empty();
            }
            if !busy {
                return Ok(());
            }
        }
    }

    /// What is not at rest, when all should be.
    pub(super) fn restless(&self, context: &Context) -> Vec<String> {
        let mut found = Vec::new();
        for (index, host) in self.hosts.iter().enumerate() {
            if host.has_work() || !self.commons.mailboxes[index].is_empty() {
                found.push(format!("shard {index} has unread mail"));
            }
            for link in host.paused().filter(|link| !context.is_lost(*link)) {
                let client = context.links[link].client;
                found.push(format!("shard {index} does not read link {link} of client {client}"));
            }
        }
        found
    }

    /// What is left, when all sessions have ended.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let shared = &self.commons.shared;
        let counts = [
            ("sessions", shared.session_count()),
            ("subscriptions", shared.subscription_count()),
            ("sessions in shards", self.hosts.iter().map(|host| host.shard.session_count()).sum()),
            ("groups in shards", self.hosts.iter().map(|host| host.shard.group_count()).sum()),
        ];
        let left = counts.into_iter().filter(|(_, count)| *count > 0);
        left.map(|(what, count)| format!("{count} {what} are left")).collect()
    }
}
