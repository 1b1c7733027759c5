//! A lab for the length of one test.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::host;
use crate::lab::{Lab, UpOptions};

/// A lab that goes down when the value goes, unless `SKERRY_KEEP=1`; then its directory is said, to look
/// around in.
#[derive(Debug)]
pub struct TestLab {
    lab: Lab,
}

impl TestLab {
    /// Brings up a fresh lab called `name`, beside the programs of this build.
    ///
    /// # Errors
    /// As for [`Lab::up`].
    pub fn up(name: &str, options: &UpOptions) -> Result<Self> {
        let dir = home()?.join(name);
        // What an earlier run kept, or left when it was killed.
        Lab::at(&dir)?.down()?;
        let guard = Self { lab: Lab::at(&dir)? };
        Lab::up(&dir, options)?;
        Ok(guard)
    }
}

/// Where labs of tests live: `e2e` beside the programs of this build.
fn home() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let build = me.ancestors().find(|folder| folder.join("lab").exists());
    build.and_then(Path::parent).map(|target| target.join("e2e")).context("no program lab beside this test")
}

impl Deref for TestLab {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        if host::env("SKERRY_KEEP").is_some_and(|keep| keep == "1") {
            host::progress(&format!("kept: lab {}", self.lab.dir().display()));
        } else if let Err(error) = self.lab.down() {
            host::progress(&format!("lab {} is not down: {error:#}", self.lab.dir().display()));
        }
    }
}
