//! Reads the files of a configuration and tells all that is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::access::{self, AccessFiles};
use crate::check;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Diagnostics, Position, Severity};
use crate::directive::{self, Directive, Scope, Status};
use crate::draft::{Draft, Open};
use crate::files::{BYTES_MAX, Disk, Files, Memory};
use crate::lexer::{self, Line};
use crate::problem::{Problem, block, file, setting};
use crate::value::Value;

/// What the command line and the environment say; they win over the files.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CommandLine {
    /// `-p`: loopback ports, unless a file says where to listen.
    pub ports: Vec<u16>,
    /// `-v`: log everything.
    pub verbose: bool,
    /// `-q`: log nothing; wins over `verbose`.
    pub quiet: bool,
    /// `MOSQUITTO_UNSAFE_ALLOW_SYMLINKS` is set: files that decide who gets in may be symbolic links.
    pub allow_symlinks: bool,
    /// `MOSQUITTO_PERSISTENCE_LOCATION`.
    pub persistence_location: Option<PathBuf>,
    /// `--data`: the data directory, which switches persistence on.
    pub data: Option<PathBuf>,
}

/// A configuration that can be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is odd about the files, in the order of their lines; at most [`Diagnostics::TOLD_MAX`].
    pub warnings: Vec<Diagnostic>,
    /// The files that were read, the main file first.
    pub files: Vec<PathBuf>,
}

/// Reads the main file and what it includes. Without one, the defaults and the command line make the
/// configuration.
pub fn load(main: Option<&Path>, command_line: &CommandLine) -> Result<Loaded, Diagnostics> {
    Loader::new(&Disk, command_line).load(main)
}

/// The same without a disk: the first source is the main file, `include_dir` finds its files among the others.
pub fn parse(sources: &[(PathBuf, &[u8])], command_line: &CommandLine) -> Result<Loaded, Diagnostics> {
    let main = sources.first().map(|(path, _)| path.as_path());
    Loader::new(&Memory(sources), command_line).load(main)
}

/// Any bytes as the main file, as an included one, and as a file of access control: it must not panic. For fuzzing.
pub fn fuzz_parse(bytes: &[u8]) {
    access::fuzz_parse(bytes);
    let main: &[u8] = b"include_dir d\n";
    let command_line = CommandLine::default();
    let as_main = parse(&[(PathBuf::from("main.conf"), bytes)], &command_line);
    let as_included = parse(
        &[(PathBuf::from("main.conf"), main), (PathBuf::from("d/included.conf"), bytes)],
        &command_line,
    );
    for diagnostics in [as_main, as_included].iter().filter_map(|result| result.as_ref().err()) {
        assert!(!diagnostics.to_string().is_empty() && !diagnostics.original().is_empty());
    }
}

struct Loader<'a> {
    files: &'a dyn Files,
    command_line: &'a CommandLine,
    draft: Draft,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    read: Vec<PathBuf>,
    bytes_left: u64,
}

/// Where the loader is.
struct Place {
    open: Open,
    at: Position,
    included_at: Option<Position>,
}

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files, command_line: &'a CommandLine) -> Self {
        let draft = Draft::default();
        let (errors, warnings, read) = Default::default();
        Self { files, command_line, draft, errors, warnings, read, bytes_left: BYTES_MAX }
    }

    fn load(mut self, main: Option<&Path>) -> Result<Loaded, Diagnostics> {
        if let Some(main) = main {
            self.file(main, None);
            for (problem, at) in check::check(&self.draft) {
                self.tell(problem, Some(at), None);
            }
            let files = AccessFiles::new(self.files, self.command_line.allow_symlinks);
            for Diagnostic { problem, at, included_at } in files.read(&mut self.draft) {
                self.tell(problem, at, included_at);
            }
            if self.draft.told_where_to_listen && !self.command_line.ports.is_empty() {
                self.tell(block::ports_without_effect(), None, None);
            }
        }
        if self.errors.is_empty() {
            let config = self.draft.finish(self.command_line);
            Ok(Loaded { config, warnings: self.warnings, files: self.read })
        } else {
            let more = self.is_full();
            Err(Diagnostics { errors: self.errors, more })
        }
    }

    fn file(&mut self, path: &Path, included_at: Option<Position>) {
        let content = match self.files.read(path, self.bytes_left) {
            Ok(content) => content,
            Err(error) => return self.tell(file::unreadable(path, &error), included_at, None),
        };
        self.read.push(path.to_path_buf());
        let Some(bytes_left) = self.bytes_left.checked_sub(content.len() as u64) else {
            return self.tell(file::too_large(path, BYTES_MAX), included_at, None);
        };
        self.bytes_left = bytes_left;

        let file: Arc<Path> = Arc::from(path);
        let mut open = Open::default();
        for line in lexer::lines(&content) {
            // What follows so many mistakes would only be more of them.
            if self.is_full() {
                return;
            }
            let at = Position { file: Arc::clone(&file), line: line.number };
            let mut place = Place { open, at, included_at: included_at.clone() };
            self.line(line, &mut place);
            open = place.open;
        }
    }

    fn line(&mut self, line: Line<'_>, place: &mut Place) {
        let mut notes = Vec::new();
        let result = match (str::from_utf8(line.name), str::from_utf8(line.rest)) {
            (Ok(name), Ok(rest)) => self.setting(name, rest, place, &mut notes),
            (Err(_), _) => Err(setting::not_utf8(line.name)),
            (_, Err(_)) => Err(setting::not_utf8(line.rest)),
        };
        for problem in notes.into_iter().chain(result.err()) {
            self.tell(problem, Some(place.at.clone()), place.included_at.clone());
        }
    }

    fn include(&mut self, directory: &Path, place: &Place) -> Result<(), Problem> {
        if place.included_at.is_some() {
            return Err(file::nested_include());
        }
        let files = self.files.list(directory).map_err(|error| file::unlistable(directory, &error))?;
        for path in files {
            self.file(&path, Some(place.at.clone()));
        }
        Ok(())
    }

    fn setting(
        &mut self,
        name: &str,
        rest: &str,
        place: &mut Place,
        notes: &mut Vec<Problem>,
    ) -> Result<(), Problem> {
        let directive = directive::find(name).ok_or_else(|| setting::unknown(name))?;
        if matches!(name, "plugin_opt_" | "auth_opt_") {
            return Err(block::plugin_option_without_name(name));
        }
        let block = self.draft.block(directive, name, &mut place.open, &place.at, notes)?;
        // A line that cannot be read was given too: that it is missing would be no second mistake.
        let before = self.draft.given.insert((block, directive.name), place.at.clone());
        let value = directive.takes.parse(name, rest, notes)?;
        if let ("include_dir", Value::Text(directory)) = (directive.name, &value) {
            return self.include(Path::new(directory), place);
        }
        if let (true, Some(before)) = (directive.takes.refuses_repetition(), &before) {
            return Err(setting::duplicate(name, before));
        }
        if let Some(instead) = directive.deprecated {
            notes.push(setting::deprecated(directive, instead));
        }
        self.draft.note(directive.name, block, &value, before.as_ref())?;
        if self.draft.is_of_store(name, block, &value, notes) {
            return Ok(());
        }
        match directive.status {
            Status::NotYet(_) if needs_no_word(directive, &value) => Ok(()),
            Status::NotYet(waits_for) => Err(setting::not_yet(name, waits_for)),
            Status::Removed(why) => {
                notes.push(setting::removed(directive, why));
                Ok(())
            }
            Status::Supported | Status::Only { .. } => {
                self.draft.apply(directive, block, value, before.as_ref(), notes)
            }
        }
    }

    fn is_full(&self) -> bool {
        self.errors.len() >= Diagnostics::TOLD_MAX
    }

    fn tell(&mut self, problem: Problem, at: Option<Position>, included_at: Option<Position>) {
        let list = match problem.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning | Severity::Notice => &mut self.warnings,
        };
        if list.len() < Diagnostics::TOLD_MAX {
            list.push(Diagnostic { problem, at, included_at });
        }
    }
}

/// Whether nothing need be said about a directive that nothing obeys yet: it says what is the case anyway, or
/// the line that opened its block was refused, and with it the whole block.
fn needs_no_word(directive: &Directive, value: &Value) -> bool {
    let default = directive.takes.parse(directive.name, directive.default, &mut Vec::new());
    let says_what_is = matches!(value, Value::Flag(_) | Value::Number(_)) && default.as_ref() == Ok(value);
    says_what_is || matches!(directive.scope, Scope::Bridge | Scope::Plugin)
}
