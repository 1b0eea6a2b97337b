//! How fast the controller's log file grows.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

/// Looks at what has been added since the last look.
pub struct LogWatch {
    path: PathBuf,
    looked: Instant,
    pub bytes: u64,
    pub lines: u64,
    /// In any interval between two looks.
    pub most_lines_a_second: f64,
    /// Lines that tell how many were left out.
    pub left_out: u64,
}

/// What was added.
pub struct Growth {
    pub lines: u64,
    pub seconds: f64,
}

impl LogWatch {
    pub fn begin(path: PathBuf) -> Self {
        Self { path, looked: Instant::now(), bytes: 0, lines: 0, most_lines_a_second: 0.0, left_out: 0 }
    }

    /// # Errors
    /// When the file can't be read. That it is not there yet is none.
    pub fn look(&mut self) -> Result<Growth> {
        let mut added = Vec::new();
        if self.path.exists() {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.bytes))?;
            file.read_to_end(&mut added)?;
        }
        let now = Instant::now();
        let seconds = now.duration_since(self.looked).as_secs_f64();
        let lines = added.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let text = String::from_utf8_lossy(&added);
        self.left_out += text.matches("lines about sources were left out").count() as u64;
        self.bytes += added.len() as u64;
        self.lines += lines;
        self.looked = now;
        self.most_lines_a_second = self.most_lines_a_second.max(lines as f64 / seconds.max(1.0));
        Ok(Growth { lines, seconds })
    }
}
