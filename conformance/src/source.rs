//! The Rust files of the workspace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the tests stand, from the root.
const FOLDERS: [&str; 5] = ["bench", "crates", "fuzz", "simulation", "tests"];

/// A file and what is in it.
#[derive(Clone, Debug)]
pub struct Source {
    /// From the root, with slashes.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// All of them, by path. The examples in this package are left out.
///
/// # Errors
///
/// What cannot be read.
pub fn read(root: &Path) -> io::Result<Vec<Source>> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut paths)?;
    }
    paths.sort();
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path)?;
        let path = path.strip_prefix(root).unwrap_or(&path);
        let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
        Ok(Source { path: names.join("/"), text })
    };
    paths.into_iter().map(source).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        // Installed programs, built ones, what others wrote.
        if name.to_string_lossy().starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}
