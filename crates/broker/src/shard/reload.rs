//! New settings for a shard that runs.
//!
//! Nearly everything looks into the settings when it needs to know, so that a change holds for what comes next. Here is the
//! rest: what was made of the old settings and is still there. What a client was told in its CONNACK stays as it was told.

use std::sync::Arc;

use super::{Shard, Turn};
use crate::settings::Settings;

impl Shard {
    /// Which settings hold: counted up with each [`Input::Settings`](crate::Input::Settings), so that what was made of them is
    /// known to be out of date.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) fn change_settings(&mut self, settings: Arc<Settings>, turn: &mut Turn<'_>) {
        self.generation = self.generation.wrapping_add(1);
        self.router.change_settings(&settings);
        self.mail.change_settings(&settings);
        turn.shared.set_memory_limit(settings.memory_limit);
        let has_new_interval = self.settings.sys_interval != settings.sys_interval;
        let has_new_sweep = self.settings.retain_expiry_interval != settings.retain_expiry_interval;
        self.restricts = settings.restricts();
        let old = std::mem::replace(&mut self.settings, settings);
        self.begin_expulsion(&old);
        if has_new_interval {
            self.arm_sys_topics(turn.now.monotonic);
        }
        if has_new_sweep {
            self.rearm_sweep(turn);
        }
        let pressure = turn.shared.memory_pressure();
        if pressure != self.thrift.pressure {
            self.feel_pressure(pressure, turn);
        }
    }
}
