use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use tempfile::TempDir;

use super::*;

struct Lines {
    folder: TempDir,
}

impl Lines {
    fn new(text: &str) -> Self {
        let lines = Self { folder: TempDir::new().unwrap() };
        fs::write(lines.path(), text).unwrap();
        fs::set_permissions(lines.path(), fs::Permissions::from_mode(0o600)).unwrap();
        lines
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("lines")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn take(&self) -> (String, usize) {
        let taken = take(&self.path()).unwrap();
        (words(&taken.sequence), taken.left)
    }

    /// What the refusal says, with the folder cut out.
    fn refusal(&self) -> String {
        let message = take(&self.path()).unwrap_err().to_string();
        message.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn words(sequence: &Sequence) -> String {
    sequence.steps().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_line_is_taken_once_in_order_and_marked_in_its_first_byte() {
    let lines = Lines::new("# a comment\n 1,2:udp\n\n#3,4\n\t5, 6\r\n 7,8");
    assert_eq!(lines.take(), ("1/tcp 2/udp".to_owned(), 2));
    assert_eq!(lines.text(), "# a comment\n#1,2:udp\n\n#3,4\n\t5, 6\r\n 7,8");
    assert_eq!(lines.take(), ("5/tcp 6/tcp".to_owned(), 1));
    assert_eq!(lines.take(), ("7/tcp 8/tcp".to_owned(), 0));
    assert_eq!(lines.text(), "# a comment\n#1,2:udp\n\n#3,4\n#5, 6\r\n#7,8");
    assert_eq!(
        lines.refusal(),
        "lines: no unused line is left; add new ones here and on the server, each beginning with a space"
    );
}

#[test]
fn a_line_without_a_space_loses_no_digit_to_its_mark() {
    let lines = Lines::new("7000,8000\n9000:udp\n");
    fs::set_permissions(lines.path(), fs::Permissions::from_mode(0o640)).unwrap();
    let link = lines.folder.path().join("link");
    std::os::unix::fs::symlink("lines", &link).unwrap();
    let taken = take(&link).unwrap();
    assert_eq!((words(&taken.sequence).as_str(), taken.left), ("7000/tcp 8000/tcp", 1));
    assert_eq!(lines.text(), "#7000,8000\n9000:udp\n");
    assert_eq!(lines.path().metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(lines.take(), ("9000/udp".to_owned(), 0));
    assert_eq!(lines.folder.path().read_dir().unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn a_replaced_file_keeps_its_owner() {
    use std::os::unix::fs::{MetadataExt, chown};

    let lines = Lines::new("7000,8000\n");
    if chown(lines.path(), Some(65_534), Some(65_534)).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    lines.take();
    let metadata = lines.path().metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (65_534, 65_534));
}

#[test]
fn a_faulty_line_is_refused_by_its_number_and_stays_unused() {
    let text = "#1,2\n 7000,70000\n 3,4\n";
    let lines = Lines::new(text);
    assert_eq!(lines.refusal(), "lines:2: step 2: ports end at 65535; write a number from 1 to 65535");
    assert_eq!(lines.text(), text);
    let lines = Lines::new(&format!(" 1{}\n", ",1".repeat(32)));
    assert_eq!(lines.refusal(), "lines:1: this sequence has 33 steps, more than 32; keep to 32");
    fs::write(lines.path(), b" 7000,\xff\n").unwrap();
    assert!(lines.refusal().starts_with("lines:1: step 2: this is not a port; "));
}

#[test]
fn a_line_of_blanks_of_any_kind_is_no_line() {
    let lines = Lines::new("\t\u{b}\n\u{a0}\n 7000,8000\n");
    assert_eq!(lines.take(), ("7000/tcp 8000/tcp".to_owned(), 0));
}

#[test]
fn no_two_clients_get_the_same_line() {
    // Lines of both kinds: some are marked in place, for others the file is replaced.
    let text: String =
        (1..=40).map(|port| format!("{}{port}\n", if port % 3 == 0 { "" } else { " " })).collect();
    let lines = Lines::new(&text);
    let mut taken: Vec<String> = thread::scope(|scope| {
        let takers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..5).map(|_| lines.take().0).collect::<Vec<_>>())).collect();
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    taken.sort();
    let mut expected: Vec<String> = (1..=40).map(|port| format!("{port}/tcp")).collect();
    expected.sort();
    assert_eq!(taken, expected);
    assert!(lines.text().lines().all(|line| line.starts_with('#')));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let message = take(Path::new("/nonexistent/lines")).unwrap_err().to_string();
    assert!(message.starts_with("/nonexistent/lines: "), "{message}");
}
