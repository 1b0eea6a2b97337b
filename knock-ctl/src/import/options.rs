//! What holds for all doors: `[filter]` and `[log]`.

use std::path::Path;

use super::document::Document;
use super::knockd::Options;
use super::notes::Notes;
use crate::config::diagnostic::Position;

/// knockd's, where neither its file nor its command line names one.
const DEFAULT_INTERFACE: &str = "eth0";

pub(super) fn write_filter(options: &Options, document: &mut Document) {
    document.blank();
    document.section("filter");
    let interface = match &options.interface {
        Some(interface) => {
            document.set_origin(Some(interface.place));
            interface.value.as_str()
        }
        None => {
            document.comment(
                "knockd's own default. If it was started with -i, write that one; attach takes one too.",
            );
            DEFAULT_INTERFACE
        }
    };
    document.setting("interfaces", vec![interface]);
    document.set_origin(None);
    document.comment(
        "As under knockd, only a wrong port that belongs to some door resets an attempt. So a scan of all ports can \
         open a door; without this line it opens none of three or more steps.",
    );
    document.setting("strict", false);
    document.comment(
        "knockd sees what is sent to its interface's own addresses, or to a door's target. On a machine that forwards \
         for others, and has no door with a target, the same is:",
    );
    document.offer("destinations", vec!["local"]);
    if let Some(pid_file) = options.pid_file.as_ref().filter(|file| !file.value.is_empty()) {
        document.set_origin(Some(pid_file.place));
        document.comment(&format!(
            "knockd's PidFile, {:?}, has no counterpart: the controller is known by its socket.",
            pid_file.value
        ));
        document.set_origin(None);
    }
}

pub(super) fn write_log(options: &Options, document: &mut Document, notes: &mut Notes) {
    let file = options.log_file.as_ref().filter(|file| !file.value.is_empty());
    if file.is_none() && options.syslog.is_none() {
        return;
    }
    document.blank();
    document.section("log");
    document.comment("knockd logs each step of an attempt.");
    document.setting("stages", true);
    if let Some(file) = file {
        let path = absolute(&file.value, file.place, "logfile", notes);
        document.set_origin(Some(file.place));
        document.setting("file", path);
    }
    if let Some(place) = options.syslog {
        document.set_origin(Some(place));
        document.setting("syslog", true);
    }
    document.set_origin(None);
}

/// knockd reads a relative path from where it is started.
pub(super) fn absolute(path: &str, place: Position, key: &str, notes: &mut Notes) -> String {
    if Path::new(path).is_absolute() {
        return path.to_owned();
    }
    // Fails on an empty path, or without a current directory.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| Path::new("/").join(path));
    let absolute = absolute.display().to_string();
    notes.warn(
        place,
        format!(
            "{key}: a relative path, which knockd reads from where it is started; taken for {absolute:?}"
        ),
        "write the whole path",
    );
    absolute
}
