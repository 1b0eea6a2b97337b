//! What a door's commands have done, in a file for each door and source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::text;

/// A folder of such files.
pub struct CommandLog {
    folder: PathBuf,
}

impl CommandLog {
    pub fn create(folder: &Path) -> Self {
        fs::create_dir(folder).unwrap();
        Self { folder: folder.to_owned() }
    }

    /// A door's commands, as its configuration has them.
    pub fn commands(&self) -> String {
        let command =
            |what| format!("{what}_command = \"echo {what} >> {}/$KNOCK_DOOR-%IP%\"\n", text(&self.folder));
        command("start") + &command("stop")
    }

    /// The lines of each door and source.
    pub fn lines(&self) -> BTreeMap<String, Vec<String>> {
        let files = fs::read_dir(&self.folder).unwrap().map(Result::unwrap);
        files
            .map(|file| {
                let lines = fs::read_to_string(file.path()).unwrap();
                (file.file_name().into_string().unwrap(), lines.lines().map(str::to_owned).collect())
            })
            .collect()
    }

    /// Whether every start has been followed by a stop.
    pub fn is_over(&self) -> bool {
        self.lines().values().all(|lines| lines.last().is_some_and(|line| line == "stop"))
    }

    /// Doors and sources where something was started or stopped twice, or stopped without a start.
    pub fn out_of_turn(&self) -> BTreeMap<String, Vec<String>> {
        let mut lines = self.lines();
        lines.retain(|_, lines| !lines.chunks(2).all(|pair| ["start", "stop"].starts_with(&as_strs(pair))));
        lines
    }
}

fn as_strs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}
