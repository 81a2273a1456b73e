//! The repository's own source files, as text.

use crate::fault::Fault;
use crate::shell::root;
use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
pub(crate) struct Source {
    /// Path from the root, with slashes.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    /// The lines before the first test module, without comment lines. Empty for files of tests.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = &str> {
        let is_test = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let lines = if is_test { "" } else { self.text.as_str() };
        lines
            .lines()
            .take_while(|line| line.trim() != "#[cfg(test)]")
            .filter(|line| !line.trim_start().starts_with("//"))
    }

    /// The part of the file that is tests.
    pub(crate) fn tests(&self) -> &str {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return &self.text;
        }
        self.text.find("#[cfg(test)]").map_or("", |at| &self.text[at..])
    }
}

/// Every file under `directory` (from the root) whose name ends in `.extension`, in order.
pub(crate) fn files(directory: &str, extension: &str) -> Result<Vec<Source>, Fault> {
    let mut found = Vec::new();
    walk(&root().join(directory), extension, &mut found)?;
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path)?;
        let relative = path.strip_prefix(root()).unwrap_or(&path);
        Ok(Source { path: relative.to_string_lossy().replace('\\', "/"), text })
    };
    found.into_iter().map(read).collect()
}

fn walk(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, extension, found)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(())
}
