//! Writing tar archives (the ustar format), as far as container images need it: folders, files and symlinks
//! of root, with a fixed time, so that the same content gives the same bytes.

use anyhow::{Result, ensure};

/// An archive that is being written.
#[derive(Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

const BLOCK: usize = 512;

impl Tar {
    /// Appends a file.
    ///
    /// # Errors
    /// The name does not fit.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.header(name, mode, b'0', "", content.len() as u64)?;
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    /// Appends a folder.
    ///
    /// # Errors
    /// The name does not fit.
    pub fn folder(&mut self, name: &str, mode: u32) -> Result<()> {
        self.header(&format!("{}/", name.trim_end_matches('/')), mode, b'5', "", 0)
    }

    /// Appends a symlink.
    ///
    /// # Errors
    /// The name or the target does not fit.
    pub fn symlink(&mut self, name: &str, target: &str) -> Result<()> {
        self.header(name, 0o777, b'2', target, 0)
    }

    /// The finished archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn header(&mut self, name: &str, mode: u32, kind: u8, target: &str, size: u64) -> Result<()> {
        ensure!(!name.is_empty() && name.len() <= 100, "a name in an archive has 1 to 100 bytes: {name:?}");
        ensure!(target.len() <= 100, "a link in an archive has at most 100 bytes: {target:?}");
        ensure!(size < 1 << 33, "{name} is larger than an archive holds");
        let mut block = [0_u8; BLOCK];
        let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{size:011o}"));
        put(136, "00000000000");
        // The sum counts its own field as blanks.
        put(148, "        ");
        put(157, target);
        put(257, "ustar");
        put(263, "00");
        put(265, "root");
        put(297, "root");
        block[156] = kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.bytes.extend_from_slice(&block);
        Ok(())
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(BLOCK);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_tar_reads_it_back() {
        let mut tar = Tar::default();
        tar.folder("bin", 0o755).unwrap();
        tar.file("bin/tool", 0o755, b"#!/bin/sh\n").unwrap();
        tar.symlink("bin/other", "tool").unwrap();
        tar.file("empty", 0o600, b"").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        std::fs::write(&path, tar.finish()).unwrap();
        let list = crate::host::run(&["tar", "-tvf", &path.display().to_string()]).unwrap();
        let lines: Vec<(&str, &str)> = list
            .lines()
            .map(|line| (line.split(' ').next().unwrap(), line.split(" 00:00 ").nth(1).unwrap()))
            .collect();
        let expected = [
            ("drwxr-xr-x", "bin/"),
            ("-rwxr-xr-x", "bin/tool"),
            ("lrwxrwxrwx", "bin/other -> tool"),
            ("-rw-------", "empty"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let long = "x".repeat(101);
        assert!(Tar::default().file(&long, 0o644, b"").is_err());
        assert!(Tar::default().symlink("a", &long).is_err());
        assert!(Tar::default().file("", 0o644, b"").is_err());
    }
}
