//! The log as a file: a JSON object a line, rotated by size.
//!
//! `flows.jsonl` is written, `flows.jsonl.1` is the one before, and so on. A line that a crash has torn is taken away at
//! the next start, so that every file is lines of JSON at any time but for the last line of the one being written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What is looked through at once for the end of a torn file's last line.
const STEP: u64 = 64 << 10;

/// The file being written.
#[derive(Debug)]
pub(super) struct Sink {
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
    /// Larger than this it is not to become, in bytes.
    max_bytes: u64,
    /// So many files at most, this one among them.
    files: usize,
}

impl Sink {
    /// Goes on with the file, or makes it and its folder; only its owner may read it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(path: &Path, max_bytes: u64, files: usize) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = create(path)?;
        let written = end_last_line(&mut file)?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            written,
            max_bytes,
            files: files.max(1),
        })
    }

    /// Adds a line, first to a new file if this one would be too large.
    ///
    /// # Errors
    /// What the system says; the line is lost.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        let bytes = line.len() as u64 + 1;
        if self.written > 0 && self.written + bytes > self.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.written += bytes;
        Ok(())
    }

    /// Gives what was written to the kernel.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        for number in (1..self.files).rev() {
            let before = match number {
                1 => self.path.clone(),
                number => numbered(&self.path, number - 1),
            };
            if before.exists() {
                fs::rename(&before, numbered(&self.path, number))?;
            }
        }
        if self.files == 1 {
            fs::remove_file(&self.path)?;
        }
        self.file = BufWriter::new(create(&self.path)?);
        self.written = 0;
        Ok(())
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options.open(path)
}

/// Cuts off what follows the last newline, and says how long the file is then.
fn end_last_line(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let len = end;
    let mut step = vec![0; STEP as usize];
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let part = &mut step[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < len {
        file.set_len(end)?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_full_file_makes_room_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/flows.jsonl");
        let mut sink = Sink::open(&path, 20, 3).unwrap();
        for number in 0..8 {
            sink.write(&format!("{{\"n\":{number}}}")).unwrap();
        }
        sink.flush().unwrap();
        let found = [path.clone(), numbered(&path, 1), numbered(&path, 2)].map(|path| read(&path));
        let expected = [
            "{\"n\":6}\n{\"n\":7}\n",
            "{\"n\":4}\n{\"n\":5}\n",
            "{\"n\":2}\n{\"n\":3}\n",
        ];
        assert_eq!(found, expected);
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn a_torn_line_is_taken_away_and_the_file_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.jsonl");
        for (before, after) in [
            ("{\"n\":1}\n{\"n\":", "{\"n\":1}\n"),
            ("{\"n\":", ""),
            ("{\"n\":1}\n", "{\"n\":1}\n"),
            (&"x".repeat(3 * STEP as usize), ""),
        ] {
            fs::write(&path, before).unwrap();
            let mut sink = Sink::open(&path, 1_000, 2).unwrap();
            assert_eq!(read(&path), after);
            sink.write("{}").unwrap();
            sink.flush().unwrap();
            assert_eq!(read(&path), format!("{after}{{}}\n"));
            assert_eq!(sink.written, after.len() as u64 + 3);
        }
    }

    #[test]
    fn one_file_alone_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.jsonl");
        let mut sink = Sink::open(&path, 3, 1).unwrap();
        ["11", "22"]
            .iter()
            .for_each(|line| sink.write(line).unwrap());
        sink.flush().unwrap();
        assert_eq!(read(&path), "22\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
