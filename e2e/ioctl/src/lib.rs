//! Two kernel calls that the testbed needs and that no safe library offers.
//!
//! * [`open_tap`] attaches to a TAP device: the link shaper reads and writes whole Ethernet frames there.
//! * [`cut_power`] makes an ext4 file system stop at once, without writing anything more to its disk:
//!   what lies on the disk afterwards is what a machine would find there after a power failure.
//!
//! Nothing here decides anything, and nothing of the product uses it. What is absent on purpose: any
//! other ioctl, any state, any thread.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Setter, ioctl, opcode};

/// `struct ifreq` as TUNSETIFF reads it: the interface's name and its flags, 40 bytes in all.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// TAP rather than TUN: whole Ethernet frames.
const IFF_TAP: u16 = 0x0002;
/// No four bytes of packet information in front of each frame.
const IFF_NO_PI: u16 = 0x1000;
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: not even the journal is written out.
const WITHOUT_JOURNAL_FLUSH: u32 = 2;

/// Creates the TAP device `name` (at most 15 bytes) in the caller's network namespace and attaches to it.
/// One read is one frame, one write is one frame. The device leaves with the returned file.
///
/// # Errors
/// The name is too long, `/dev/net/tun` is missing, the name is taken, or the caller is not root.
pub fn open_tap(name: &str) -> io::Result<File> {
    let mut request = InterfaceRequest { name: [0; 16], flags: IFF_TAP | IFF_NO_PI, rest: [0; 22] };
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 15 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an interface's name has 1 to 15 bytes"));
    }
    request.name[..bytes.len()].copy_from_slice(bytes);
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    const TUNSETIFF: u32 = opcode::write::<i32>(b'T', 202);
    #[expect(unsafe_code, reason = "TUNSETIFF copies one struct ifreq from the pointer and keeps nothing")]
    // SAFETY: the opcode takes a pointer to `struct ifreq`; the value has its layout and size and lives
    // through the call.
    unsafe {
        ioctl(&file, Setter::<TUNSETIFF, InterfaceRequest>::new(request))?;
    }
    Ok(file)
}

/// Stops the ext4 file system that `anything_on_it` belongs to: from now on every write fails and nothing
/// reaches its disk any more, the journal included.
///
/// # Errors
/// The file system does not know the call, or the caller lacks CAP_SYS_ADMIN.
pub fn cut_power(anything_on_it: impl AsFd) -> io::Result<()> {
    const EXT4_IOC_SHUTDOWN: u32 = opcode::read::<u32>(b'X', 125);
    #[expect(unsafe_code, reason = "EXT4_IOC_SHUTDOWN reads one u32 from the pointer and keeps nothing")]
    // SAFETY: the opcode takes a pointer to a u32 of flags, which lives through the call.
    unsafe {
        ioctl(anything_on_it, Setter::<EXT4_IOC_SHUTDOWN, u32>::new(WITHOUT_JOURNAL_FLUSH))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_as_large_as_the_kernels() {
        assert_eq!(size_of::<InterfaceRequest>(), 40);
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused_before_the_kernel_sees_it() {
        for name in ["", "sixteen-bytes-xx"] {
            assert_eq!(open_tap(name).expect_err("refused").kind(), io::ErrorKind::InvalidInput);
        }
    }
}
