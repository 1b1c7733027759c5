//! What must be at a path of the host.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};

use super::Failure;
use crate::kinds::HostPathType;

/// Checks a path, and makes what may be made. Says whether it made something.
pub(super) fn check(path: &str, kind: HostPathType) -> Result<bool, Failure> {
    let (expected, fits): (_, fn(&fs::FileType) -> bool) = match kind {
        HostPathType::Unset => return Ok(false),
        HostPathType::Directory | HostPathType::DirectoryOrCreate => ("directory", fs::FileType::is_dir),
        HostPathType::File | HostPathType::FileOrCreate => ("file", fs::FileType::is_file),
        HostPathType::Socket => ("socket file", FileTypeExt::is_socket),
        HostPathType::CharDevice => ("character device", FileTypeExt::is_char_device),
        HostPathType::BlockDevice => ("block device", FileTypeExt::is_block_device),
    };
    match fs::metadata(path) {
        Ok(found) if fits(&found.file_type()) => Ok(false),
        Ok(found) => Err(Failure::missing(format!(
            "hostPath type check failed: {path} is not a {expected}, it's a {}",
            name(found.file_type())
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, kind, expected),
        Err(error) => Err(unknown(path, expected, &error)),
    }
}

fn make(path: &str, kind: HostPathType, expected: &str) -> Result<bool, Failure> {
    match kind {
        HostPathType::DirectoryOrCreate => {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
            made.map_err(Failure::io(&format!("cannot make the directory {path}")))?;
            Ok(true)
        }
        HostPathType::FileOrCreate => {
            let made = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path);
            made.map_err(Failure::io(&format!("cannot make the file {path}")))?;
            Ok(true)
        }
        HostPathType::Unset
        | HostPathType::Directory
        | HostPathType::File
        | HostPathType::Socket
        | HostPathType::CharDevice
        | HostPathType::BlockDevice => {
            Err(unknown(path, expected, &io::Error::from(rustix::io::Errno::NOENT)))
        }
    }
}

fn unknown(path: &str, expected: &str, error: &io::Error) -> Failure {
    Failure::missing(format!(
        "hostPath type check failed, {path} is not a {expected}, unable to determine its type: {error}"
    ))
}

/// The type's name in the API.
fn name(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "Directory"
    } else if kind.is_file() {
        "File"
    } else if kind.is_socket() {
        "Socket"
    } else if kind.is_char_device() {
        "CharDevice"
    } else if kind.is_block_device() {
        "BlockDevice"
    } else {
        "file of another type"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &str, kind: HostPathType) -> String {
        check(path, kind).unwrap_err().message
    }

    #[test]
    fn each_type_is_told_from_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        fs::write(at("file"), "").unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (path, kind) in [
            (at("file"), HostPathType::File),
            (at("file"), HostPathType::FileOrCreate),
            (at(""), HostPathType::Directory),
            (at(""), HostPathType::DirectoryOrCreate),
            (at("socket"), HostPathType::Socket),
            ("/dev/null".to_owned(), HostPathType::CharDevice),
            (at("nothing"), HostPathType::Unset),
        ] {
            assert!(!check(&path, kind).unwrap(), "{path} {kind:?}");
        }
        let file = at("file");
        assert_eq!(
            message(&file, HostPathType::Directory),
            format!("hostPath type check failed: {file} is not a directory, it's a File")
        );
        assert!(
            message("/dev/null", HostPathType::BlockDevice)
                .ends_with("is not a block device, it's a CharDevice")
        );
        assert!(message(&at(""), HostPathType::FileOrCreate).ends_with("is not a file, it's a Directory"));
        assert!(message(&at("socket"), HostPathType::CharDevice).ends_with("it's a Socket"));
        assert!(message(&at("nothing"), HostPathType::Directory).contains("unable to determine its type"));
    }

    #[test]
    fn what_may_be_made_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        for (path, kind) in
            [(at("a/b"), HostPathType::DirectoryOrCreate), (at("f"), HostPathType::FileOrCreate)]
        {
            assert!(check(&path, kind).unwrap());
            assert!(!check(&path, kind).unwrap());
        }
        assert!(message(&at("x/f"), HostPathType::FileOrCreate).contains("cannot make the file"));
    }
}
