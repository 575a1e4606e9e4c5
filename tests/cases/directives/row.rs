//! A row of the matrix, and what must hold for it.

use e2e::broker::command;
use e2e::{Broker, environment, eventually};
use noctule_config::directive::{self, Directive, Reload, Scope, Status};

/// A row of the matrix.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) directive: &'static str,
    pub(super) effect: Effect,
    pub(super) bad: &'static [Bad],
}

/// What the directive does.
#[derive(Debug)]
pub(super) enum Effect {
    /// A view shows something else with each of two files.
    Seen { view: View, before: File, after: File },
    /// It is obeyed, but nothing of that can be seen, for this reason.
    Unseen { config: &'static str, why: &'static str },
    /// Its feature is not built: starting is refused at the last line of this file.
    NotYet { config: &'static str },
    /// It is read in a block that is refused: the line of this number, and no other, is at fault.
    InRefusedBlock { config: &'static str, line: usize },
    /// It has no effect any more, which is told.
    Removed { config: &'static str },
}

/// What a client, a reader of the log or an administrator sees of a broker.
pub(super) type View = fn(&Broker) -> String;

/// A configuration with the files it names, and what is seen of a broker that obeys it.
#[derive(Debug)]
pub(super) struct File {
    config: &'static str,
    beside: &'static [(&'static str, &'static str)],
    shows: &'static str,
}

/// A file whose last line is at fault, and what is told about it.
#[derive(Debug)]
pub(super) struct Bad {
    config: &'static str,
    told: &'static str,
}

pub(super) const fn seen(view: View, before: File, after: File) -> Effect {
    Effect::Seen { view, before, after }
}

pub(super) const fn unseen(config: &'static str, why: &'static str) -> Effect {
    Effect::Unseen { config, why }
}

pub(super) const fn not_yet(config: &'static str) -> Effect {
    Effect::NotYet { config }
}

pub(super) const fn in_refused_block(config: &'static str, line: usize) -> Effect {
    Effect::InRefusedBlock { config, line }
}

pub(super) const fn removed(config: &'static str) -> Effect {
    Effect::Removed { config }
}

pub(super) const fn file(config: &'static str, shows: &'static str) -> File {
    File { config, beside: &[], shows }
}

pub(super) const fn file_and(
    config: &'static str,
    beside: &'static [(&'static str, &'static str)],
    shows: &'static str,
) -> File {
    File { config, beside, shows }
}

pub(super) const fn bad(config: &'static str, told: &'static str) -> Bad {
    Bad { config, told }
}

/// The row of this directive holds.
#[track_caller]
pub(super) fn holds(rows: &[Row], name: &str) {
    let row = rows.iter().find(|row| row.directive == name).expect("the macro made both");
    let directive = directive::find(name).unwrap_or_else(|| panic!("{name} is not in the directive table"));
    match &row.effect {
        Effect::Seen { view, before, after } => has_its_effect(directive, *view, before, after),
        Effect::Unseen { config, .. } => is_taken_in_silence(directive, config),
        Effect::NotYet { config } => {
            let Status::NotYet(feature) = directive.status else {
                panic!("{name} is obeyed; show its effect")
            };
            is_refused(config, lines(config), &format!("is not supported yet: it waits for {feature};"));
        }
        Effect::InRefusedBlock { config, line } => {
            let errors = is_refused(config, *line, "is not supported yet: it waits for");
            assert_eq!(errors, 1, "only line {line} is at fault");
        }
        Effect::Removed { config } => {
            let Status::Removed(why) = directive.status else { panic!("{name} is obeyed; show its effect") };
            let broker = Broker::exactly(config, &[]);
            let told = broker.process().errors();
            assert!(told.contains(name) && told.contains(why), "{told}");
        }
    }
    for Bad { config, told } in row.bad {
        is_refused(config, lines(config), told);
    }
}

/// The broker shows one thing with the one file and another with the other; and on SIGHUP what the table says.
#[track_caller]
fn has_its_effect(directive: &Directive, view: View, before: &File, after: &File) {
    let broker = Broker::exactly(before.config, before.beside);
    // Before that, SIGHUP would end it.
    eventually("it says that it runs", || broker.process().errors().contains(" running").then_some(()));
    assert_eq!(view(&broker), before.shows, "with\n{}", before.config);
    after.beside.iter().for_each(|(name, text)| broker.write(name, text));
    broker.rewrite(after.config);
    let told = broker.hang_up();
    let expected = match directive.reload {
        Reload::Taken | Reload::FileReadAgain => {
            assert!(told.contains("Config reloaded."), "{told}");
            after.shows
        }
        Reload::Ignored => {
            let kept = format!("The new value of '{}'", directive.name);
            let is_told = told.contains(&kept) || told.contains("a reload cannot");
            assert!(is_told, "nothing is told about what stays as it was: {told}");
            before.shows
        }
    };
    assert_eq!(view(&broker), expected, "after a reload of\n{}", after.config);
    drop(broker);
    let broker = Broker::exactly(after.config, after.beside);
    assert_eq!(view(&broker), after.shows, "with\n{}", after.config);
}

/// The broker starts with the directive, and takes it on SIGHUP, without a word about it.
#[track_caller]
fn is_taken_in_silence(directive: &Directive, config: &str) {
    drop(Broker::exactly(config, &[]));
    let other = |line: &&str| !line.split(' ').next().is_some_and(|word| directive.is_named(word));
    let without: Vec<&str> = config.lines().filter(other).collect();
    let broker = Broker::exactly(&without.join("\n"), &[]);
    eventually("it says that it runs", || broker.process().errors().contains(" running").then_some(()));
    broker.rewrite(config);
    let told = broker.hang_up();
    assert!(told.contains("Config reloaded.") && !told.contains(directive.name), "{told}");
}

/// The broker does not start, and tells this about that line; gives how many errors it tells in all.
#[track_caller]
fn is_refused(config: &str, line: usize, told: &str) -> usize {
    let directory = tempfile::tempdir().expect("the directory for temporary files can be written to");
    let path = directory.path().join("bad.conf");
    let place = directory.path().display().to_string();
    std::fs::write(&path, config.replace("DIR", &place)).expect("a directory of ours");
    let finished = command(environment::broker()).arg("-c").arg(&path).run();
    finished.exits_with(3);
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    let at = format!("error: {}:{line}: ", path.display());
    assert!(
        errors.iter().any(|error| error.starts_with(&at) && error.contains(told)),
        "{at}{told:?} should be said about\n{config}\nbut it said\n{said}"
    );
    errors.len()
}

fn lines(config: &str) -> usize {
    config.lines().count()
}

impl Row {
    /// It shows something, and what it shows is what the table promises.
    #[track_caller]
    pub(super) fn is_complete(&self) {
        let name = self.directive;
        let Some(directive) = directive::find(name) else { return };
        let is_written_in = |config: &str| {
            config.lines().any(|line| line.split(' ').next().is_some_and(|word| directive.is_named(word)))
        };
        let is_obeyed = matches!(directive.status, Status::Supported | Status::Only { .. });
        match &self.effect {
            Effect::Seen { before, after, .. } => {
                assert!(is_obeyed, "{name} is not obeyed, says the table");
                assert!(is_written_in(after.config), "{name} does not stand in its second file");
                assert_ne!(before.shows, after.shows, "{name} shows no effect");
            }
            Effect::Unseen { config, why } => {
                assert!(is_obeyed && is_written_in(config) && !why.is_empty(), "{name}");
            }
            Effect::NotYet { config } => {
                assert!(matches!(directive.status, Status::NotYet(_)), "{name} is obeyed, says the table");
                assert!(config.lines().last().is_some_and(is_written_in), "{name} is not in the last line");
            }
            Effect::InRefusedBlock { config, .. } => {
                assert!(
                    matches!(directive.scope, Scope::Bridge | Scope::Plugin) && is_written_in(config),
                    "{name}"
                );
            }
            Effect::Removed { config } => {
                assert!(matches!(directive.status, Status::Removed(_)) && is_written_in(config), "{name}");
            }
        }
        let takes_anything = directive.takes == noctule_config::value::Takes::Ignored;
        assert_eq!(
            self.bad.is_empty(),
            takes_anything,
            "{name}: a value that is none, and what is told about it"
        );
        for Bad { config, .. } in self.bad {
            assert!(
                config.lines().last().is_some_and(is_written_in),
                "{name}: the last line is to be the bad one"
            );
        }
        if let Status::Only { waits_for, .. } = directive.status {
            let tells = self.bad.iter().any(|bad| bad.told.contains(waits_for));
            assert!(tells, "{name}: show how the rest is refused, which waits for {waits_for}");
        }
    }
}
