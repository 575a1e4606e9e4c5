//! SIGHUP: the configuration is read again, and obeyed whole or not at all.

use std::path::PathBuf;

use noctule_config::{CommandLine, Config, Diagnostic, Diagnostics, Reloaded};

use crate::broker::Broker;
use crate::log::{Log, Prepared};
use crate::program::Program;
use crate::run::loading;
use crate::surprises;

/// What a reload needs to know.
#[derive(Debug)]
pub(crate) struct Reload {
    program: Program,
    /// The configuration file, if there is one.
    file: Option<PathBuf>,
    command_line: CommandLine,
    /// What is obeyed, or is about to be.
    config: Config,
    under_way: Option<UnderWay>,
}

/// A reload that not all shards know of.
#[derive(Debug)]
struct UnderWay {
    /// How many do not.
    shards: usize,
    log: Prepared,
    /// It was asked for again meanwhile.
    again: bool,
}

/// A configuration that can be obeyed.
struct Next {
    reloaded: Reloaded,
    warnings: Vec<Diagnostic>,
    /// The files that the main one includes.
    included_files: Vec<PathBuf>,
    log: Prepared,
}

impl Reload {
    /// For a broker that was started as `program`, with this configuration out of that file and command line.
    pub(crate) fn new(
        program: Program,
        file: Option<PathBuf>,
        command_line: CommandLine,
        config: Config,
    ) -> Self {
        Self { program, file, command_line, config, under_way: None }
    }

    /// Reads the configuration again and tells it to all shards; if one is under way, once that is done.
    pub(crate) fn begin(&mut self, broker: &mut Broker, log: &Log) {
        if let Some(under_way) = &mut self.under_way {
            under_way.again = true;
            return;
        }
        log.information("Reloading config.");
        match self.read() {
            Ok(Next { reloaded: Reloaded { config, kept }, warnings, included_files, log: to }) => {
                for file in included_files {
                    log.information(loading(&file));
                }
                for line in warnings.iter().flat_map(|warning| told(self.program, warning)) {
                    log.warning(line);
                }
                for kept in kept {
                    log.warning(format!(
                        "Warning: The new value of {kept} needs a restart; the old one stays."
                    ));
                }
                for warning in surprises::warnings(&config) {
                    log.warning(warning);
                }
                let shards = broker.change_settings(&config, to.types());
                self.config = config;
                self.under_way = Some(UnderWay { shards, log: to, again: false });
            }
            Err(lines) => {
                for line in lines {
                    log.error(line);
                }
                log.error("Error: The configuration was not reloaded; the one before stays in force.");
                // SIGHUP is also what log files are rotated with.
                log.reopen();
            }
        }
    }

    /// One shard obeys the new settings. The log is the last to change.
    pub(crate) fn shard_is_done(&mut self, broker: &mut Broker, log: &Log) {
        let Some(under_way) = &mut self.under_way else { return };
        under_way.shards = under_way.shards.saturating_sub(1);
        if under_way.shards > 0 {
            return;
        }
        let Some(UnderWay { log: to, again, .. }) = self.under_way.take() else { return };
        log.information("Config reloaded.");
        log.switch(to);
        if again {
            self.begin(broker, log);
        }
    }

    fn read(&self) -> Result<Next, Vec<String>> {
        let told_all = |mistakes: Diagnostics| -> Vec<String> {
            mistakes.iter().flat_map(|mistake| told(self.program, mistake)).collect()
        };
        let loaded = noctule_config::load(self.file.as_deref(), &self.command_line).map_err(told_all)?;
        let reloaded = self.config.reloaded(loaded.config).map_err(told_all)?;
        let log = Prepared::open(&reloaded.config.log).map_err(|unopened| unopened.log_lines().to_vec())?;
        let included_files = loaded.files.into_iter().skip(1).collect();
        Ok(Next { reloaded, warnings: loaded.warnings, included_files, log })
    }
}

/// The lines for one mistake: what Mosquitto says where we are called by that name, and how to mend it.
fn told(program: Program, mistake: &Diagnostic) -> Vec<String> {
    let mut lines = match program {
        Program::Mosquitto => mistake.original(),
        Program::Noctule => Vec::new(),
    };
    lines.push(mistake.to_string());
    lines
}

#[cfg(test)]
mod tests {
    use noctule_config::{ListenAddress, Listener, SocketDomain};

    use super::*;
    use crate::Notice;
    use crate::listener::Listeners;

    #[test]
    fn who_asks_while_one_is_under_way_is_served_after_it() {
        let host = Some("127.0.0.1".to_owned());
        let address = ListenAddress { host, port: 1, domain: SocketDomain::Any };
        let shards = std::num::NonZeroU16::new(2);
        let config =
            Config { listeners: vec![Listener::new(address)], worker_threads: shards, ..Config::default() };
        let log = Log::none();
        let mut broker =
            Broker::start(Program::Noctule, &config, &log, Listeners(Vec::new()), || {}).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("m.conf");
        let mut reload =
            Reload::new(Program::Noctule, Some(file.clone()), CommandLine::default(), config.clone());
        let write = |seconds: u32| {
            std::fs::write(&file, format!("listener 1 127.0.0.1\nconnect_timeout {seconds}\n")).unwrap();
        };
        let is_told = |reload: &Reload| reload.config.limits.connect_timeout.as_secs();
        let answer = |reload: &mut Reload, broker: &mut Broker| match broker.next_notice() {
            Notice::SettingsTaken => reload.shard_is_done(broker, &log),
            other => panic!("{other:?}"),
        };
        write(5);
        reload.begin(&mut broker, &log);
        write(6);
        reload.begin(&mut broker, &log);
        assert_eq!(is_told(&reload), 5);
        answer(&mut reload, &mut broker);
        assert_eq!(is_told(&reload), 5);
        answer(&mut reload, &mut broker);
        assert_eq!(is_told(&reload), 6);
        answer(&mut reload, &mut broker);
        assert!(reload.under_way.is_some());
        answer(&mut reload, &mut broker);
        assert!(reload.under_way.is_none());
        broker.stop().unwrap();
    }
}
